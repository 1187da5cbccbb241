#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes .venv-jazzy for the tests: ROS 2 Jazzy, and everything else from .venv, which must be there. Does nothing when
# that is done. The two sets of ROS packages have the same names, so they cannot share one environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Nothing of another ROS environment may leak in.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH PYTHONPATH
readonly venv=$PWD/.venv-jazzy

packages_of() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

inputs=$PWD$(cat requirements.txt requirements-jazzy.txt | cksum)
[ "$(cat "$venv/.stamp" 2>/dev/null)" = "$inputs" ] && exit 0
echo "setup: making .venv-jazzy"
.venv/bin/python -m venv --clear "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check -qq install --no-compile \
    -c <(grep -v '^ros-' requirements.txt) -r requirements-jazzy.txt ||
    { echo "setup: pip install failed, see above" >&2; exit 2; }
# Searched after .venv-jazzy's own packages: all that imports ROS gets Jazzy.
packages_of "$PWD/.venv" >"$(packages_of "$venv")/libraries.pth"
echo "$inputs" >"$venv/.stamp"
