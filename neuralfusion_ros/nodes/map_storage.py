# SPDX-License-Identifier: Apache-2.0
"""Where the nodes keep maps and meshes: one folder, and names that cannot leave it."""

from __future__ import annotations

import re
from pathlib import Path

from neuralfusion_ros.nodes.ros_parameter import ParameterError


def check_name(parameter: str, name: str) -> None:
    """Raises ParameterError when the value of a parameter is no plain file name."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
        text = "1 to 100 letters, digits, _, . and -, the first no . or -"
        raise ParameterError(f"{parameter} must be {text}, not {name!r}")


def stored_file(directory: str, name: str, suffix: str) -> Path:
    """The file of a map or a mesh. name: one that check_name accepts."""
    return Path(directory).expanduser() / f"{name}{suffix}"
