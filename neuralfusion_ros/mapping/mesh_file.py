# SPDX-License-Identifier: Apache-2.0
"""Meshes as files: PLY with vertex normals is written; PLY, OBJ and STL are read."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open3d as o3d

from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.new_file import NotWritable, check_writable, new_file

SUFFIXES = (".ply", ".obj", ".stl")
_MAX_HEADER_BYTES = 1 << 16
# As Open3D writes them: position and normal in double precision; the number of corners, and the corners.
_VERTEX_BYTES, _FACE_BYTES = 6 * 8, 1 + 3 * 4


class MeshFileError(ValueError):
    """A file cannot be read as a mesh. The message is one line that says which and why."""


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a binary PLY file, aside and then renamed. Raises NotWritable when that fails."""
    check_writable(path, ".ply")
    vertices, triangles = o3d.core.Tensor(mesh.vertices), o3d.core.Tensor(mesh.triangles)
    surface = o3d.t.geometry.TriangleMesh(vertices, triangles)
    surface.compute_vertex_normals()
    content_bytes = len(mesh.vertices) * _VERTEX_BYTES + len(mesh.triangles) * _FACE_BYTES
    # Open3D would print a line for every triangle that does not fit, and not tell us.
    if shutil.disk_usage(path.parent).free < content_bytes:
        raise NotWritable(f"{path} cannot be written: the disk is full, it needs {content_bytes / 1e6:.1f} MB")
    with new_file(path) as aside:
        if not o3d.t.io.write_triangle_mesh(str(aside), surface) or _content_bytes(aside) != content_bytes:
            raise NotWritable(f"{path} cannot be written as a whole")


def _content_bytes(path: Path) -> int:
    """Bytes of a binary PLY file behind its header."""
    with path.open("rb") as file:
        header, end, _ = file.read(_MAX_HEADER_BYTES).partition(b"end_header\n")
    return path.stat().st_size - len(header) - len(end)


def read_mesh(path: Path) -> Mesh:
    """Read a mesh with at least one triangle. Raises MeshFileError."""
    return read_coloured_mesh(path)[0]


def read_coloured_mesh(path: Path) -> tuple[Mesh, npt.NDArray[np.float32] | None]:
    """As read_mesh, with the (V, 3) colours of the vertices, 0 to 1, if the file has any."""
    _check_file(path)
    promised = _promised(path) if path.suffix.lower() == ".ply" else (0, 0)
    with _silence():
        surface = o3d.io.read_triangle_mesh(str(path))
    vertices, triangles = np.asarray(surface.vertices, np.float32), np.asarray(surface.triangles, np.int32)
    for name, found, count in zip(("vertices", "triangles"), (vertices, triangles), promised, strict=True):
        if len(found) < count:
            raise MeshFileError(f"{path} is damaged: only {len(found)} of {count} {name} can be read")
    if not len(triangles):
        raise MeshFileError(f"{path} has no triangles" + (", only points" if len(vertices) else ""))
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise MeshFileError(f"{path} is damaged: a triangle has a corner that does not exist")
    if not np.isfinite(vertices).all():
        raise MeshFileError(f"{path} is damaged: a vertex has coordinates that are not finite")
    colours = np.asarray(surface.vertex_colors, np.float32) if surface.has_vertex_colors() else None
    return Mesh(vertices, triangles), colours


def _check_file(path: Path) -> None:
    if not path.exists():
        raise MeshFileError(f"{path} is missing")
    if not path.is_file():
        raise MeshFileError(f"{path} is not a file")
    if path.suffix.lower() not in SUFFIXES:
        raise MeshFileError(f"{path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if not os.access(path, os.R_OK):
        raise MeshFileError(f"{path} cannot be read: no permission")
    if not path.stat().st_size:
        raise MeshFileError(f"{path} is empty")


def _promised(path: Path) -> tuple[int, int]:
    """Vertices and faces that the header of a PLY file promises.

    Open3D returns what it could read of a file that is cut off, and takes memory for as much as the header says.
    """
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    header, end, _ = head.partition(b"end_header")
    if not head.startswith(b"ply") or not end:
        raise MeshFileError(f"{path} is not a PLY file")
    counts = {name: int(count) for name, count in re.findall(rb"element[ \t]+(\w+)[ \t]+(\d+)", header)}
    # Neither a vertex nor a face fits into fewer than three bytes.
    if 3 * sum(counts.values()) > path.stat().st_size:
        raise MeshFileError(f"{path} is damaged: it is shorter than its header says")
    return counts.get(b"vertex", 0), counts.get(b"face", 0)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Open3D's file readers, written in C, from printing beside the error that we raise."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
