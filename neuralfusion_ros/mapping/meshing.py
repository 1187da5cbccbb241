# SPDX-License-Identifier: Apache-2.0
"""Triangles from signed distances, chunk by chunk, without cracks or doubled faces between chunks.

A cell spans the centres of 2x2x2 voxels and belongs to the chunk of its lowest voxel. So every face is made once,
and two cells that share a side compute the same vertices on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.measure import marching_cubes

WELD_VOXELS = 1e-4


@dataclass(frozen=True)
class Mesh:
    """vertices: (V, 3) float32, metres in the world. triangles: (T, 3) int32, counter-clockwise from free space."""

    vertices: npt.NDArray[np.float32]
    triangles: npt.NDArray[np.int32]


EMPTY_MESH = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))


def mesh_cells(
    tsdf: npt.NDArray[np.float32], cells: npt.NDArray[np.bool_], first_voxel: npt.NDArray[np.int64], voxel_size_m: float
) -> Mesh:
    """Meshes the zero level of an (X, Y, Z) volume of voxels whose lowest has the coordinates `first_voxel`.

    cells: (X, Y, Z) which to mesh, as crossed_cells gives them.
    """
    if not cells.any():
        return EMPTY_MESH
    vertices, triangles, _, _ = marching_cubes(tsdf, 0.0, mask=cells, gradient_direction="descent")
    world = (first_voxel + 0.5 + vertices.astype(np.float64)) * voxel_size_m
    return Mesh(world.astype(np.float32), triangles.astype(np.int32))


def crossed_cells(tsdf: npt.NDArray[np.float32], usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(X, Y, Z) cells, by their highest corners, that the surface crosses and of which all corners are usable."""
    negative = tsdf < 0
    crossed = np.zeros(tsdf.shape, dtype=bool)
    crossed[1:, 1:, 1:] = _corners(np.logical_and, usable)
    crossed[1:, 1:, 1:] &= _corners(np.logical_or, negative) & ~_corners(np.logical_and, negative)
    return crossed


def _corners(combine: np.ufunc, voxels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(X, Y, Z) values of voxels to (X - 1, Y - 1, Z - 1), those of the eight corners of every cell combined."""
    along_x = combine(voxels[:-1], voxels[1:])
    along_y = combine(along_x[:, :-1], along_x[:, 1:])
    return np.asarray(combine(along_y[:, :, :-1], along_y[:, :, 1:]))


def weld(meshes: list[Mesh], voxel_size_m: float) -> Mesh:
    """One mesh out of many, with the vertices that neighbours share made one."""
    meshes = [mesh for mesh in meshes if len(mesh.triangles)]
    if not meshes:
        return EMPTY_MESH
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    triangles = np.concatenate([mesh.triangles + offset for mesh, offset in zip(meshes, offsets, strict=True)])
    snapped = np.round(vertices.astype(np.float64) / (WELD_VOXELS * voxel_size_m)).astype(np.int64)
    _, first, number = np.unique(snapped, axis=0, return_index=True, return_inverse=True)
    triangles = number.reshape(-1)[triangles].astype(np.int32)
    distinct = (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)
    return Mesh(vertices[first], triangles[distinct])
