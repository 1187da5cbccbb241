# SPDX-License-Identifier: Apache-2.0
"""The profile of Fast DDS for large messages. Needs nothing of this package: mapping.launch.py runs this file alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def profile_variable() -> str:
    """Name of the variable with the profile's path, for the ROS distribution of this process.

    Fast DDS 3, in Kilted and newer, has renamed the variable and warns about the old name.
    """
    is_old = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    return f"{'FASTRTPS' if is_old else 'FASTDDS'}_DEFAULT_PROFILES_FILE"


def set_dds_profile() -> None:
    """Give this process, and those that it starts, the profile for large messages, unless there is one."""
    if profile := _dds_profile():
        os.environ.setdefault(profile_variable(), str(profile))


def _dds_profile() -> Path | None:
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    shares = [prefix / "share" / _PACKAGE.name for prefix in (*prefixes, Path(sys.prefix))]
    profiles = (folder / "config" / "fastdds_shm.xml" for folder in (_PACKAGE.parent, *shares))
    return next((profile for profile in profiles if profile.is_file()), None)
