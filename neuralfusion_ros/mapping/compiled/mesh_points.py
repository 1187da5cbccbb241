# SPDX-License-Identifier: Apache-2.0
"""The sums of plain_normals in mapping/mesh_points.py, in one loop over the triangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.world_rays import Floats


def compiled_normals(vertices: Floats, triangles: npt.NDArray[np.int32]) -> Floats:
    """(V, 3) and (T, 3) to (V, 3) unit normals; zero where there is no triangle."""
    sums = np.zeros(vertices.shape)
    _add_faces(vertices, triangles, sums)
    normals = np.zeros(vertices.shape, np.float32)
    _divide(sums, normals)
    return normals


@kernel
def _add_faces(vertices: Floats, triangles: npt.NDArray[np.int32], sums: npt.NDArray[np.float64]) -> None:
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x, y, z = np.float64(vertices[a, 0]), np.float64(vertices[a, 1]), np.float64(vertices[a, 2])
        ux, uy, uz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
        vx, vy, vz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
        for corner in (a, b, c):
            sums[corner, 0] += uy * vz - uz * vy
            sums[corner, 1] += uz * vx - ux * vz
            sums[corner, 2] += ux * vy - uy * vx


@kernel
def _divide(sums: npt.NDArray[np.float64], normals: Floats) -> None:
    for v in range(len(sums)):
        length = np.sqrt(sums[v, 0] ** 2 + sums[v, 1] ** 2 + sums[v, 2] ** 2)
        if length > 0:
            for axis in range(3):
                normals[v, axis] = sums[v, axis] / length
