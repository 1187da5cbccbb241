#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes .venv with everything the package needs. Does nothing that is already done, so it may run before every command.
#
#   PYTHON                    the Python to use; otherwise the first python3 >= 3.10 found
#   NEURALFUSION_TORCH_INDEX  extra package index to look for torch in, see install_torch
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Nothing of another ROS environment may leak in.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH PYTHONPATH
readonly venv=$PWD/.venv package=neuralfusion_ros

say() { echo "setup: $*"; }
fail() { say "$*" >&2; exit 2; }

# Installs apt packages, or says how when not allowed to. $1: what they are for.
apt_install() {
    local purpose=$1; shift
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$purpose missing; run: sudo apt-get update && sudo apt-get install -y $*"
    fi
    say "apt-get install $*"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } \
        >/dev/null || fail "apt-get install $* failed"
}

# The libraries that Open3D loads.
install_libraries() {
    [ "$(uname)" = Linux ] || return 0
    local known missing=() pair
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
    for pair in libusb-1.0.so.0=libusb-1.0-0 libGL.so.1=libgl1 libgomp.so.1=libgomp1 libEGL.so.1=libegl1 \
        libX11.so.6=libx11-6; do
        grep -q "${pair%%=*}" <<<"$known" || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] || apt_install "system libraries are" "${missing[@]}"
}

# Prints the first Python that is new enough and can make a virtual environment.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    "$venv/bin/python" -c 'import pip' 2>/dev/null && return
    local python
    python=$(find_python) || { apt_install "a Python >= 3.10 with venv is" python3-venv; python=$(find_python); } ||
        fail "no Python >= 3.10 with venv found; name one: PYTHON=/path/to/python3 make"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

# Quiet but for errors.
# --no-compile below: Python compiles what is imported, when it is; all at once takes a minute.
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -qq "$@"; }

# True when a step's inputs are those of its last success. $1: step, $2: inputs.
done_before() { [ "$(cat "$venv/.$1.stamp" 2>/dev/null)" = "$2" ]; }

# On Linux the torch of a plain package index brings several GB of CUDA packages. A machine without an NVIDIA driver
# gets the CPU build, version 2.13.0+cpu, which satisfies the pin 2.13.0, or a word on where to look for it. An index
# that has no such version is asked for it, but nothing is fetched.
install_torch() {
    local index=${NEURALFUSION_TORCH_INDEX:-} pin output
    pin=$(grep '^torch==' requirements.txt)
    [ "$(uname)" = Linux ] && [ "$index" != default ] || return 0
    [ ! -e /proc/driver/nvidia/version ] && ! command -v nvidia-smi >/dev/null || return 0
    output=$(pip install --no-compile --no-deps ${index:+--extra-index-url "$index"} "$pin+cpu" 2>&1) ||
        fail "no CPU build of torch (${output##*$'\n'}), and no NVIDIA driver for the build with GBs of CUDA packages;" \
            "set NEURALFUSION_TORCH_INDEX to PyTorch's package index of CPU builds (or to 'default' to take any build)"
}

install_requirements() {
    local inputs
    inputs=$(cat requirements*.txt | cksum)
    done_before requirements "$inputs" && return
    say "installing requirements (a few minutes on a new machine)"
    install_torch
    pip install --no-compile -r requirements.txt -r requirements-view.txt -r requirements-dev.txt || fail "pip install failed, see above"
    echo "$inputs" >"$venv/.requirements.stamp"
}

# Editable, and findable for ROS tools: an editable install has no data files and no <prefix>/lib/<package>/<node>.
install_package() {
    local inputs node
    inputs=$PWD$(cat setup.py setup.cfg package.xml requirements*.txt | cksum)
    done_before package "$inputs" && return
    say "installing $package"
    pip install --no-deps --no-build-isolation --editable . || fail "pip install failed, see above"
    local share=$venv/share/$package lib=$venv/lib/$package index=$venv/share/ament_index/resource_index/packages
    rm -rf "$share" "$lib"
    mkdir -p "$share" "$lib" "$index"
    ln -sfn "$PWD/resource/$package" "$index/$package"
    ln -sfn "$PWD/package.xml" "$PWD/launch" "$PWD/config" "$share/"
    for node in fusion_node translator_node replay_node; do
        ln -sfn "../../bin/$node" "$lib/$node"
    done
    echo "$inputs" >"$venv/.package.stamp"
}

install_libraries
make_venv
install_requirements
install_package
