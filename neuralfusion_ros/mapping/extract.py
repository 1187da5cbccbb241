# SPDX-License-Identifier: Apache-2.0
"""Step 1, extract: what the map already knows along every ray, around the measured depth."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.ray_image import RayImage

TRUNCATION_VOXELS = 4
SAMPLES = 2 * TRUNCATION_VOXELS + 1


@dataclass(frozen=True)
class RaySamples:
    """The map along the rays. Sample k of a ray lies k - TRUNCATION_VOXELS voxels behind the measured point.

    rows: (h, w, S) int64 number of the voxel in the flattened pool of the grid, -1 where the map has no block.
    states: (h, w, S, C) float32 values of these voxels, 0 where there is none. signed_distance: (h, w, S) distance
    of the voxel's centre from the ray's tangent plane in truncations, positive on the side of the camera.
    """

    rows: torch.Tensor
    states: torch.Tensor
    signed_distance: torch.Tensor


def extract(grid: BlockGrid, rays: RayImage, T_world_camera: torch.Tensor) -> RaySamples:
    """Reads the nearest voxel at every sample of every valid ray. T_world_camera: (4, 4) float32."""
    rotation, translation = T_world_camera[:3, :3], T_world_camera[:3, 3]
    points = (rays.points_m @ rotation.T + translation) / grid.voxel_size_m
    directions = torch.nn.functional.normalize(rays.points_m, dim=-1) @ rotation.T
    normals = rays.normals @ rotation.T
    steps = torch.arange(-TRUNCATION_VOXELS, TRUNCATION_VOXELS + 1, device=points.device, dtype=points.dtype)
    # One contiguous tensor per axis: several times faster than (..., 3) on a CPU.
    voxels = [torch.floor(points[..., axis, None] + directions[..., axis, None] * steps) for axis in range(3)]
    distance = torch.zeros_like(voxels[0])
    for axis, voxel in enumerate(voxels):
        distance += (voxel + 0.5 - points[..., axis, None]) * normals[..., axis, None]
    rows = _rows(grid, *(voxel.to(torch.int64) for voxel in voxels))
    rows = torch.where(rays.valid[..., None], rows, -1)
    return RaySamples(rows, read_states(grid, rows), distance / TRUNCATION_VOXELS)


def read_states(grid: BlockGrid, rows: torch.Tensor) -> torch.Tensor:
    """(...) rows of the flattened pool to (..., C) float32 values, 0 where the row is -1."""
    if grid.n_blocks == 0:
        return torch.zeros((*rows.shape, grid.channels), device=rows.device)
    flat = grid.values.reshape(-1, grid.channels)
    states = flat.index_select(0, rows.reshape(-1).clamp(min=0)).float()
    return states.mul_(rows.reshape(-1, 1) >= 0).reshape(*rows.shape, grid.channels)


def voxel_rows(grid: BlockGrid, voxels: torch.Tensor) -> torch.Tensor:
    """(..., 3) int64 voxel coordinates to (...) rows of the flattened pool, -1 where there is no block."""
    return _rows(grid, *voxels.unbind(-1))


def _rows(grid: BlockGrid, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    inside = BLOCK_SIZE - 1
    block_rows = grid.find_at(x >> 3, y >> 3, z >> 3)
    in_block = ((x & inside) << 6) | ((y & inside) << 3) | (z & inside)
    return torch.where(block_rows < 0, -1, block_rows * BLOCK_VOXELS + in_block)
