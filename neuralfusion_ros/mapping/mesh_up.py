# SPDX-License-Identifier: Apache-2.0
"""Which way is up in the world of a mesh: a comment in the header of a PLY file, which other programs pass over."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.new_file import new_file

Up = tuple[float, float, float]

_MAX_HEADER_BYTES = 1 << 16
_NOTE = re.compile(rb"^comment up" + 3 * rb" (-?\d\.\d{1,9})" + rb"\r?$", re.MULTILINE)


def note_up(path: Path, up: npt.ArrayLike) -> None:
    """Add the direction (3,) to a PLY file that has no such note; the copy is written aside. Raises OSError."""
    x, y, z = np.asarray(up, np.float64) / max(float(np.linalg.norm(up)), 1e-12)
    with path.open("rb") as mesh, new_file(path) as aside, aside.open("wb") as copy:
        copy.write(mesh.readline() + mesh.readline())  # these two have to be "ply" and the format
        copy.write(f"comment up {x:.4f} {y:.4f} {z:.4f}\n".encode())
        shutil.copyfileobj(mesh, copy)


def noted_up(path: Path) -> Up | None:
    """The direction that `note_up` added; None for a file without one. Raises OSError."""
    if path.suffix.lower() != ".ply":
        return None
    with path.open("rb") as file:
        header = file.read(_MAX_HEADER_BYTES).partition(b"end_header")[0]
    found = _NOTE.search(header)
    x, y, z = (float(number) for number in found.groups()) if found else (0.0, 0.0, 0.0)
    return (x, y, z) if x or y or z else None
