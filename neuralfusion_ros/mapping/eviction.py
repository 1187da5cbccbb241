# SPDX-License-Identifier: Apache-2.0
"""Which blocks do not belong into the map, or leave it when the robot has moved on or the memory is used up."""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.settings import Bounds

SPARE_SHARE = 0.05  # of the map that leaves at once, so that it need not happen with every frame


def blocks_beyond(grid: BlockGrid, centre_m: torch.Tensor, radius_m: float) -> torch.Tensor:
    """(K,) rows of the blocks of which no part is within radius_m of the (3,) point."""
    low = grid.keys * grid.block_size_m
    outside = torch.maximum(low - centre_m, centre_m - (low + grid.block_size_m)).clamp(min=0)
    return (outside.norm(dim=-1) > radius_m).nonzero().squeeze(-1)


def are_within(keys: torch.Tensor, bounds_m: Bounds | None, block_size_m: float) -> torch.Tensor:
    """(N,) bool: which of the (N, 3) blocks reach into the box."""
    if bounds_m is None:
        return torch.ones(len(keys), dtype=torch.bool, device=keys.device)
    # In double precision: a bound that is a multiple of the block's size must not let in one more.
    low, high = torch.tensor(bounds_m, dtype=torch.float64, device=keys.device) / block_size_m
    return ((keys + 1 > low) & (keys < high)).all(dim=-1)


def longest_unseen(grid: BlockGrid, in_view: torch.Tensor, count: int) -> torch.Tensor:
    """(K,) rows of the blocks with the lowest stamps, none of them from the (V,) rows in view.

    At least `count` and a spare share of the map, if there are so many.
    """
    may_go = torch.ones(grid.n_blocks, dtype=torch.bool, device=grid.device)
    may_go[in_view] = False
    rows = may_go.nonzero().squeeze(-1)
    return rows[grid.stamps[rows].argsort(stable=True)][: max(count, round(SPARE_SHARE * grid.n_blocks))]
