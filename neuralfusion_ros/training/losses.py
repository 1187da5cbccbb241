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

_THIN_SHARE = 0.12  # of all queries, for rods and for plates alike
_THIN_DRAWS = 4  # points tried for each: where no frame has been yet, there is no voxel to ask
_BAND_SHARE = 0.6  # of the other queries
_SURFACE_WEIGHT = 3.0
_OCCUPANCY_WEIGHT = 0.3
_DISTANCE_WEIGHT = 0.1
_SMALLEST_ERROR = 0.005  # in truncations; streams that are better than that no longer count more


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

    Some are near rods and plates thinner than a voxel, which would otherwise hardly ever be drawn; see thin_things.
    Space behind a surface that no frame has looked into is left out: what is there cannot be known.
    """
    values = grid.values.reshape(-1, grid.channels)
    band = (values[:, WEIGHT] > 0).nonzero().squeeze(-1)
    free = ((values[:, WEIGHT] <= 0) & (values[:, FREE] > 0)).nonzero().squeeze(-1)
    thin = _rows_near_thin_things(grid, stream, round(count * _THIN_SHARE), generator)
    others = count - len(thin)
    in_band = round(others * _BAND_SHARE)
    drawn = [_draw(pool, n, generator) for pool, n in ((band, in_band), (free, others - in_band))]
    rows = torch.cat([*drawn, thin])
    block = torch.div(rows, BLOCK_VOXELS, rounding_mode="floor")
    voxels = grid.keys[block].long() * 8 + voxel_offsets(grid.device)[rows % BLOCK_VOXELS]
    offset = torch.rand((len(voxels), 3), generator=generator) - 0.5
    offset[::2] = 0
    points_m = (voxels.cpu() + 0.5 + offset) * grid.voxel_size_m  # the truth is worked out on the CPU
    distance_m = stream.truth.scene.signed_distance(points_m)
    known = (distance_m < 0) | stream.visible(points_m)
    voxels = voxels[known.to(grid.device)]
    axis = torch.arange(-1, 2, device=grid.device)
    around = torch.cartesian_prod(axis, axis, axis)
    near, far = (voxel_rows(grid, voxels[:, None] + spacing * around) for spacing in (1, 2))
    target = (distance_m[known] / (TRUNCATION_VOXELS * grid.voxel_size_m)).clamp(-1, 1)
    return Queries(near, far, offset[known].to(grid.device), target.to(grid.device))


def map_loss(
    tsdf: torch.Tensor, occupancy_logit: torch.Tensor, target: torch.Tensor, solid_weight: float = 1.0
) -> torch.Tensor:
    """Logarithm of the mean error of the signed distance, which counts four times near the surface, plus cross entropy
    on occupancy.

    The logarithm makes streams count alike: a tenth less error is worth as much with an exact sensor as with a bad one.
    Without it the bad ones decide, and exact depth is mapped less exactly than it could be.
    solid_weight: of the signed distance where the target is negative.
    """
    weight = (1 + _SURFACE_WEIGHT * (target.abs() < 0.5).float()) * torch.where(target < 0, solid_weight, 1.0)
    error = (weight * (tsdf - target).abs()).sum() / weight.sum()
    occupancy = F.binary_cross_entropy_with_logits(occupancy_logit, (target < 0).float())
    return _DISTANCE_WEIGHT * torch.log(error + _SMALLEST_ERROR) + _OCCUPANCY_WEIGHT * occupancy


def _rows_near_thin_things(
    grid: BlockGrid, stream: NoisyStream, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Rows of touched voxels, at most `count` near thin rods and `count` near thin plates."""
    values = grid.values.reshape(-1, grid.channels)
    result = [torch.zeros(0, dtype=torch.int64, device=grid.device)]
    for points_m in stream.truth.points_near_thin_things(_THIN_DRAWS * count, generator):
        rows = voxel_rows(grid, torch.floor(points_m / grid.voxel_size_m).long().to(grid.device))
        rows = rows[rows >= 0]
        touched = (values[rows, WEIGHT] > 0) | (values[rows, FREE] > 0)
        result.append(rows[touched][:count])
    return torch.cat(result)


def _draw(pool: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    if len(pool) == 0:
        return pool
    return pool[torch.randint(len(pool), (count,), generator=generator).to(pool.device)]
