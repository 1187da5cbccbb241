# SPDX-License-Identifier: Apache-2.0
"""The vertices of a mesh with their normals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.compiled import has_numba
from neuralfusion_ros.mapping.meshing import Mesh


def vertex_normals(mesh: Mesh) -> npt.NDArray[np.float32]:
    """(V, 3) unit normals, the area-weighted mean of the triangles around; zero where there is no triangle."""
    if not has_numba():
        return plain_normals(mesh.vertices, mesh.triangles)
    from neuralfusion_ros.mapping.compiled.mesh_points import compiled_normals  # importing numba takes a while

    return compiled_normals(mesh.vertices, mesh.triangles)


def plain_normals(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """The same from (V, 3) and (T, 3) without numba."""
    corners = vertices.astype(np.float64)[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(faces[:, axis], 3), len(vertices)) for axis in range(3)],
        axis=-1,
        dtype=np.float64,  # without triangles, bincount counts in integers
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0).astype(np.float32)


def surface_points(meshes: Iterable[Mesh]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(N, 3) vertices in metres and their (N, 3) unit normals, which point into free space.

    Each mesh stands for itself: a vertex on the border of two chunks comes twice, each time with the normal of its own
    chunk. Welding them would cost more than all the rest.
    """
    parts = [(mesh.vertices, vertex_normals(mesh)) for mesh in meshes]
    nothing = np.zeros((0, 3), np.float32)
    return (
        np.concatenate([nothing, *(vertices for vertices, _ in parts)]),
        np.concatenate([nothing, *(normals for _, normals in parts)]),
    )
