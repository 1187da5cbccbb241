# SPDX-License-Identifier: Apache-2.0
"""Meshes as PLY files, with vertex normals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d as o3d

from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.new_file import NotWritable, new_file


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a binary PLY file, aside and then renamed. Raises NotWritable when that fails."""
    vertices, triangles = o3d.core.Tensor(mesh.vertices), o3d.core.Tensor(mesh.triangles)
    surface = o3d.t.geometry.TriangleMesh(vertices, triangles)
    surface.compute_vertex_normals()
    with new_file(path) as aside:
        if not o3d.t.io.write_triangle_mesh(str(aside), surface):
            raise NotWritable(f"{path} cannot be written")


def read_mesh(path: Path) -> Mesh:
    """Read a PLY file; one that is missing or damaged gives a mesh without triangles."""
    surface = o3d.io.read_triangle_mesh(str(path))
    return Mesh(np.asarray(surface.vertices, np.float32), np.asarray(surface.triangles, np.int32))
