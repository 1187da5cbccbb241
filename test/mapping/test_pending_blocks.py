# SPDX-License-Identifier: Apache-2.0
"""Translating only what sees a change ends in the same map as translating all of it."""

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.pending_blocks import PendingBlocks
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.voxel_state import WEIGHT, n_channels

CUBE = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)


def map_of(keys: torch.Tensor, seed: int = 0) -> BlockGrid:
    grid = BlockGrid(n_channels(2), 0.05)
    grid.allocate(keys)
    change(grid, grid.keys.clone(), seed)
    return grid


def change(grid: BlockGrid, keys: torch.Tensor, seed: int) -> None:
    """New random states in these blocks, with evidence in half of the voxels."""
    states = torch.rand((len(keys), 512, grid.channels), generator=torch.Generator().manual_seed(seed))
    states[..., WEIGHT] = 20 * (states[..., WEIGHT] - 0.5).clamp(min=0)
    grid.set_blocks(keys, states)


def pending_after(grid: BlockGrid, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pending = PendingBlocks(grid)
    pending.mark(keys)
    return pending.take()


def test_only_voxels_near_the_changed_block_wait():
    keys, wanted = pending_after(map_of(CUBE), torch.tensor([[0, 0, 0]]))
    waiting = {tuple(key): int(count) for key, count in zip(keys.tolist(), wanted.sum(dim=1), strict=True)}
    assert waiting == {tuple(key): 8 ** (3 - n) * 2**n for key in CUBE.tolist() if (n := sum(map(abs, key))) >= 0}
    above = wanted[keys.tolist().index([0, 0, 1])].reshape(8, 8, 8)
    assert above[:, :, :2].all()
    assert not above[:, :, 2:].any()


def test_marks_add_up_and_taken_blocks_wait_no_more():
    grid = map_of(CUBE)
    pending = PendingBlocks(grid)
    for key in ([0, 0, 0], [1, 1, 1], [0, 0, 0]):
        pending.mark(torch.tensor([key]))
    together = pending_after(grid, torch.tensor([[0, 0, 0], [1, 1, 1]]))
    assert len(pending) == 27
    first, second = pending.take(10), pending.take()
    for parts, expected in zip(zip(first, second, strict=True), together, strict=True):
        assert torch.equal(torch.cat(parts), expected)
    assert len(pending) == 0
    assert len(pending.take()[0]) == 0


def test_blocks_that_the_map_does_not_have_do_not_wait():
    grid = map_of(CUBE[:20])
    pending = PendingBlocks(grid)
    pending.mark(torch.tensor([[0, 0, 0], [50, 0, 0]]))
    pending.drop(grid.keys[:5])
    keys, _ = pending.take()
    assert sorted(keys.tolist()) == sorted(grid.keys[5:].tolist())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("subdivision", [1, 2])
def test_a_map_that_follows_changes_is_that_of_a_whole_translation(compiled, subdivision):
    torch.manual_seed(0)
    network = TranslatorNetwork(2, width=8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    grid = map_of(CUBE[:24])
    surface = SurfaceMap(grid, network, subdivision, compiled)
    surface.mark_changed(grid.keys)
    surface.translate()
    before = surface.grid.values.clone()
    for seed, changed in enumerate((CUBE[[13]], CUBE[[0, 5, 26]], CUBE[[4, 22]]), start=1):
        change(grid, changed, seed)
        surface.mark_changed(changed)
        surface.translate(max_blocks=7)
    while surface.pending:
        surface.translate(max_blocks=7)
    whole = SurfaceMap(grid, network, subdivision, compiled)
    whole.mark_changed(grid.keys)
    whole.translate()
    rows = whole.grid.find(surface.grid.keys)
    # A sum in another order may round a half the other way.
    torch.testing.assert_close(surface.grid.values, whole.grid.values[rows], atol=2e-3, rtol=2e-3)
    assert not torch.equal(surface.grid.values[: len(before)], before)
