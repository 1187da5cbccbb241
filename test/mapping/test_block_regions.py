# SPDX-License-Identifier: Apache-2.0
"""Regions hold every block once, whatever the order in which blocks come."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.block_regions import REGION_BLOCKS

blocks = st.lists(st.tuples(*[st.integers(-40, 40)] * 3), min_size=1, max_size=30)


@given(st.lists(blocks, min_size=1, max_size=5))
def test_every_block_is_in_its_region_once(batches):
    grid = BlockGrid(1, 0.02)
    for batch in batches:
        grid.allocate(torch.tensor(batch))
    seen = []
    for number, region in enumerate(grid.regions.keys):
        rows = grid.regions.rows(torch.tensor([number]))
        assert (torch.div(grid.keys[rows], REGION_BLOCKS, rounding_mode="floor") == region).all()
        seen += rows.tolist()
    assert sorted(seen) == list(range(grid.n_blocks))


def test_no_region_gives_no_rows():
    assert len(BlockGrid(1, 0.02).regions.rows(torch.zeros(0, dtype=torch.int64))) == 0


def test_rows_of_several_regions_follow_each_other():
    grid = BlockGrid(1, 0.02)
    grid.allocate(torch.tensor([[0, 0, 0], [100, 0, 0], [200, 0, 0]]))
    grid.allocate(torch.tensor([[1, 0, 0], [101, 0, 0]]))
    rows = grid.regions.rows(torch.tensor([0, 1]))
    assert {tuple(key) for key in grid.keys[rows].tolist()} == {(0, 0, 0), (1, 0, 0), (100, 0, 0), (101, 0, 0)}
