# SPDX-License-Identifier: Apache-2.0
"""Reading a plain TSDF that lies in Open3D's VoxelBlockGrid: values at voxel centres and the mesh.

Open3D keeps a value at the lattice point i * voxel_size, this project at the centre (i + 0.5) * voxel_size.
A grid filled in a world that is moved by minus half a voxel holds the values of our centres; the half voxel is
added again to the mesh.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import open3d as o3d

from neuralfusion_ros.evaluation.method import BoolArray, FloatArray, Triangles, empty_mesh

VoxelBlockGrid: TypeAlias = o3d.t.geometry.VoxelBlockGrid


def new_grid(voxel_size_m: float, block_resolution: int, blocks: int) -> VoxelBlockGrid:
    """An empty grid of float32 `tsdf` (in truncations) and `weight`, with room for `blocks` blocks; it can grow."""
    float32 = o3d.core.float32
    return VoxelBlockGrid(
        ("tsdf", "weight"), (float32, float32), ((1), (1)), voxel_size_m, block_resolution, max(blocks, 1)
    )


class TsdfMap:
    """A VoxelBlockGrid read with one weight threshold: voxels with a weight of at most that are unknown.

    grid: filled in the world moved by minus half a voxel. voxel_size_m, block_resolution: as it was made.
    truncation_m: the distance that the stored value 1 stands for.
    """

    def __init__(
        self,
        name: str,
        grid: VoxelBlockGrid,
        voxel_size_m: float,
        block_resolution: int,
        truncation_m: float,
        weight_threshold: float,
    ) -> None:
        self.name = name
        self._grid = grid
        self._voxel_size_m = voxel_size_m
        self._block_resolution = block_resolution
        self._truncation_m = truncation_m
        self._weight_threshold = weight_threshold

    def query(self, centres: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Signed distance in metres and whether it is known, both (N,), of the voxels that contain (N, 3) points."""
        if not len(centres) or not self._grid.hashmap().size():  # Open3D refuses to look nothing up
            return np.zeros(len(centres)), np.zeros(len(centres), dtype=bool)
        voxels = np.floor(np.asarray(centres, dtype=np.float64) / self._voxel_size_m).astype(np.int64)
        block = np.floor_divide(voxels, self._block_resolution)
        x, y, z = (voxels - block * self._block_resolution).T
        row, found = self._grid.hashmap().find(o3d.core.Tensor(block.astype(np.int32)))
        at = (np.where(found.numpy(), row.numpy(), 0), z, y, x)
        known = found.numpy() & (self._values("weight")[at] > self._weight_threshold)
        return self._values("tsdf")[at] * self._truncation_m, known

    def mesh(self) -> Triangles:
        """Open3D's marching cubes over the voxels that are known."""
        if not self._grid.hashmap().size():
            return empty_mesh()
        try:
            mesh = self._grid.extract_triangle_mesh(self._weight_threshold)
        except RuntimeError as error:  # Open3D's way of saying that there is no surface
            if "Tensor has shape {0}" in str(error):
                return empty_mesh()
            raise
        vertices = mesh.vertex.positions.numpy() + 0.5 * self._voxel_size_m
        return Triangles(vertices, mesh.triangle.indices.numpy())

    def _values(self, name: str) -> npt.NDArray[np.float32]:
        values: npt.NDArray[np.float32] = self._grid.attribute(name).numpy()[..., 0]
        return values
