# SPDX-License-Identifier: Apache-2.0
"""What the translated map is compared with, and how."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, voxel_rows
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT
from neuralfusion_ros.training.sequences import NoisyStream

_BAND_SHARE = 0.6
_SURFACE_WEIGHT = 3.0
_OCCUPANCY_WEIGHT = 0.3


@dataclass(frozen=True)
class Queries:
    """Voxels at which the map is judged.

    near, far: (Q, 27) rows of the voxels around each query, at spacing 1 and 2; -1 where there is no block.
    offset: (Q, 3) of the point from its voxel's centre, in voxels. target: (Q,) true signed distance in truncations,
    in [-1, 1].
    """

    near: torch.Tensor
    far: torch.Tensor
    offset: torch.Tensor
    target: torch.Tensor


def sample_queries(grid: BlockGrid, stream: NoisyStream, count: int, generator: torch.Generator) -> Queries:
    """Draws touched voxels, more of them from the band, and looks up the truth: at half of them in the voxel's centre.

    Space behind a surface that no frame has looked into is left out: what is there cannot be known.
    """
    values = grid.values.reshape(-1, grid.channels)
    band = (values[:, WEIGHT] > 0).nonzero().squeeze(-1)
    free = ((values[:, WEIGHT] <= 0) & (values[:, FREE] > 0)).nonzero().squeeze(-1)
    in_band = round(count * _BAND_SHARE)
    rows = torch.cat([_draw(pool, n, generator) for pool, n in ((band, in_band), (free, count - in_band))])
    block = torch.div(rows, BLOCK_VOXELS, rounding_mode="floor")
    voxels = grid.keys[block].long() * 8 + voxel_offsets(grid.device)[rows % BLOCK_VOXELS]
    offset = torch.rand((len(voxels), 3), generator=generator) - 0.5
    offset[::2] = 0
    points_m = (voxels.cpu() + 0.5 + offset) * grid.voxel_size_m  # the truth is worked out on the CPU
    distance_m = stream.sequence.scene.signed_distance(points_m)
    known = (distance_m < 0) | stream.visible(points_m)
    voxels = voxels[known.to(grid.device)]
    axis = torch.arange(-1, 2, device=grid.device)
    around = torch.cartesian_prod(axis, axis, axis)
    near, far = (voxel_rows(grid, voxels[:, None] + spacing * around) for spacing in (1, 2))
    target = (distance_m[known] / (TRUNCATION_VOXELS * grid.voxel_size_m)).clamp(-1, 1)
    return Queries(near, far, offset[known].to(grid.device), target.to(grid.device))


def map_loss(tsdf: torch.Tensor, occupancy_logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 + 2 L2 on the signed distance, four times as strong near the surface, plus cross entropy on occupancy."""
    weight = 1 + _SURFACE_WEIGHT * (target.abs() < 0.5).float()
    error = (tsdf - target).abs()
    distance = (weight * (error + 2 * error**2)).sum() / weight.sum()
    occupancy = F.binary_cross_entropy_with_logits(occupancy_logit, (target < 0).float())
    return distance + _OCCUPANCY_WEIGHT * occupancy


def _draw(pool: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    if len(pool) == 0:
        return pool
    return pool[torch.randint(len(pool), (count,), generator=generator).to(pool.device)]
