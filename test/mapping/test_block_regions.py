# SPDX-License-Identifier: Apache-2.0
"""Blocks by region against a plain dict."""

import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.block_regions import REGION_BLOCKS, BlockRegions


def test_every_block_is_in_its_region_once():
    generator = torch.Generator().manual_seed(0)
    grid = BlockGrid(1, 0.05)
    for _ in range(8):  # regions grow in several steps, and are read in between
        grid.allocate(torch.randint(-40, 40, (60, 3), generator=generator))
        expected: dict[tuple[int, ...], list[int]] = {}
        for row, key in enumerate(grid.keys.tolist()):
            expected.setdefault(tuple(c // REGION_BLOCKS for c in key), []).append(row)
        regions = [tuple(key) for key in grid.regions.keys.tolist()]
        assert sorted(regions) == sorted(expected)
        for number, region in enumerate(regions):
            assert sorted(grid.regions.rows(torch.tensor([number])).tolist()) == expected[region]


def test_rows_of_several_regions_and_of_none():
    regions = BlockRegions()
    nothing = torch.zeros(0, dtype=torch.int64)
    assert regions.keys.shape == (0, 3)
    assert regions.rows(nothing).shape == (0,)
    regions.add(torch.tensor([[0, 0, 0], [-1, 0, 0], [15, 15, 15]]), first_row=5)
    assert sorted(regions.keys.tolist()) == [[-1, 0, 0], [0, 0, 0]]
    assert sorted(regions.rows(torch.tensor([0, 1])).tolist()) == [5, 6, 7]
    regions.add(torch.zeros((0, 3), dtype=torch.int32), first_row=8)
    assert len(regions.keys) == 2


def test_clear_forgets_the_regions():
    grid = BlockGrid(1, 0.05)
    grid.allocate(torch.tensor([[0, 0, 0]]))
    grid.clear()
    assert len(grid.regions.keys) == 0
