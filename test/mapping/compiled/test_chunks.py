# SPDX-License-Identifier: Apache-2.0
"""The compiled reading of chunks against the plain one."""

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.chunks import CHUNK_BLOCKS, TSDF, USABLE, chunk_volumes, chunks_around


@pytest.mark.parametrize("kept", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("unusable", [0.0, 0.01, 0.5])
def test_distances_and_cells(kept, unusable):
    generator = torch.Generator().manual_seed(1)
    keys = torch.cartesian_prod(*[torch.arange(-5, 6)] * 3)
    keys = keys[torch.rand(len(keys), generator=generator) < kept]
    grid = BlockGrid(4, 0.1)
    grid.allocate(keys)
    values = torch.rand(grid.values.shape, generator=generator) - 0.4
    values[..., USABLE] = (values[..., USABLE] + 0.4 >= unusable).float()
    values[:, ::7, TSDF] = 0.0
    grid.values.copy_(values)
    chunks = sorted(chunks_around(keys))
    assert len(chunks) > 1
    crossed = 0
    plain, compiled = (chunk_volumes(grid, chunks, compiled=choice) for choice in (False, True))
    for expected, found in zip(plain, compiled, strict=True):
        assert np.array_equal(expected[1], found[1])
        assert np.array_equal(expected[0], found[0])
        crossed += int(found[1].sum())
    assert crossed > 0 or kept < 0.1 or unusable == 0.5


def test_a_chunk_reaches_one_voxel_into_the_next_ones():
    grid = BlockGrid(4, 0.1)
    grid.allocate(torch.tensor([[CHUNK_BLOCKS, 0, 0], [CHUNK_BLOCKS - 1, 0, 0]]))
    grid.values[..., USABLE] = 1.0
    grid.values[..., TSDF] = grid.keys[:, None, 0].sub(CHUNK_BLOCKS - 0.5).half()  # the surface lies between the two
    for compiled in (False, True):
        ((tsdf, cells),) = chunk_volumes(grid, [(0, 0, 0)], compiled)
        assert tsdf.shape == cells.shape == (33, 33, 33)
        assert np.argwhere(cells.any(axis=(1, 2))).tolist() == [[32]]
