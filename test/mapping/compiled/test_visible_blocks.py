# SPDX-License-Identifier: Apache-2.0
"""The compiled choice of blocks in view against the reference."""

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.compiled.visible_blocks import visible_blocks
from neuralfusion_ros.mapping.integrate import visible_blocks as reference

VOXEL_M = 0.03


@pytest.mark.parametrize("seed", range(5))
def test_the_same_blocks_as_the_reference(frame_of, seed):
    """Up to blocks that only touch the view, by rounding."""
    frame = frame_of(seed)
    grid = BlockGrid(5, VOXEL_M)
    centre = torch.floor(frame.T_world_camera[:3, 3] / grid.block_size_m).long()
    axis = torch.arange(-12, 12)
    grid.allocate(torch.cartesian_prod(axis, axis, axis) + centre)
    found = set(visible_blocks(grid, frame.rays, frame.T_world_camera).tolist())
    expected = set(reference(grid, frame.rays, frame.T_world_camera).tolist())
    assert 200 < len(expected) < 0.5 * grid.n_blocks
    assert len(found ^ expected) <= 0.005 * len(expected)


def test_an_empty_map(frame_of):
    frame = frame_of(0)
    assert len(visible_blocks(BlockGrid(5, VOXEL_M), frame.rays, frame.T_world_camera)) == 0
