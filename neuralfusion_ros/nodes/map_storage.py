# SPDX-License-Identifier: Apache-2.0
"""Where the fusion node keeps its maps: one folder, and names that cannot leave it."""

from __future__ import annotations

import re
from pathlib import Path

from neuralfusion_ros.mapping.map_file import MAP_SUFFIX


def map_path(directory: str, name: str) -> Path:
    """The file of a map. Raises ValueError for a name that is no plain file name."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
        raise ValueError(f"map_name must be letters, digits, _, . and -, not {name!r}")
    return Path(directory).expanduser() / f"{name}{MAP_SUFFIX}"
