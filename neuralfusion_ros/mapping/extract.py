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
    points = sample_points(rays, grid.voxel_size_m)
    rotation, translation = T_world_camera[:3, :3], T_world_camera[:3, 3]
    voxels = torch.floor((points @ rotation.T + translation) / grid.voxel_size_m).to(torch.int64)
    rows = voxel_rows(grid, voxels)
    rows = torch.where(rays.valid[..., None], rows, -1)
    states = read_states(grid, rows)
    centres = (voxels + 0.5) * grid.voxel_size_m
    offset = (centres - translation) @ rotation - rays.points_m[..., None, :]
    signed_distance = (offset * rays.normals[..., None, :]).sum(-1) / (TRUNCATION_VOXELS * grid.voxel_size_m)
    return RaySamples(rows, states, signed_distance)


def read_states(grid: BlockGrid, rows: torch.Tensor) -> torch.Tensor:
    """(...) rows of the flattened pool to (..., C) float32 values, 0 where the row is -1."""
    if grid.n_blocks == 0:
        return torch.zeros((*rows.shape, grid.channels), device=rows.device)
    flat = grid.values.reshape(-1, grid.channels)
    states = flat.index_select(0, rows.reshape(-1).clamp(min=0)).float()
    return states.mul_((rows.reshape(-1, 1) >= 0)).reshape(*rows.shape, grid.channels)


def sample_points(rays: RayImage, voxel_size_m: float) -> torch.Tensor:
    """(h, w, S, 3) sample positions in the frame of the camera, in metres, one voxel apart along the ray."""
    steps = torch.arange(-TRUNCATION_VOXELS, TRUNCATION_VOXELS + 1, device=rays.depth_m.device) * voxel_size_m
    directions = torch.nn.functional.normalize(rays.camera.rays(rays.depth_m.device), dim=-1)
    return rays.points_m[..., None, :] + directions[..., None, :] * steps[:, None]


def voxel_rows(grid: BlockGrid, voxels: torch.Tensor) -> torch.Tensor:
    """(..., 3) int64 voxel coordinates to (...) rows of the flattened pool, -1 where there is no block."""
    block_rows = grid.find(voxels >> 3)
    x, y, z = (voxels & (BLOCK_SIZE - 1)).unbind(-1)
    return torch.where(block_rows < 0, -1, block_rows * BLOCK_VOXELS + (x * BLOCK_SIZE + y) * BLOCK_SIZE + z)
