# SPDX-License-Identifier: Apache-2.0
"""The compiled translation against Translation, with weights as after training."""

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.compiled.translation import CompiledTranslation
from neuralfusion_ros.mapping.translate import FREE_SPACE, TranslatorNetwork
from neuralfusion_ros.mapping.translation import Translation, translation
from neuralfusion_ros.mapping.voxel_state import MEAN, VARIANCE, WEIGHT

TOLERANCE = 1e-5


def sparse(grid: BlockGrid, touched: float = 0.1) -> BlockGrid:
    """Only a share of the voxels keeps its weight, so that the network is not asked about many."""
    lost = torch.rand(grid.values.shape[:2], generator=torch.Generator().manual_seed(5)) > touched
    grid.values[..., WEIGHT : VARIANCE + 1].masked_fill_(lost[..., None], 0.0)
    return grid


def compare(network: TranslatorNetwork, grid: BlockGrid, keys: torch.Tensor, subdivision: int = 1) -> None:
    found, expected = CompiledTranslation(network, grid, subdivision), Translation(network, grid, subdivision)
    wanted = torch.rand((len(keys), 512), generator=torch.Generator().manual_seed(6)) > 0.3
    with torch.no_grad():
        ours, plain = (each.translated(keys, wanted) for each in (found, expected))
    for a, b, free in zip(ours, plain, FREE_SPACE, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, atol=TOLERANCE, rtol=TOLERANCE)
        assert torch.equal(a == free, b == free)  # the network is asked about the same voxels
    tsdf = plain[0]
    assert float(tsdf[tsdf != 1].std()) > 0.1  # the weights matter


@pytest.mark.parametrize("latent_channels", [0, 1, 2, 5, 8, 16])
def test_any_latent_dimension(frame_of, map_of, translator_of, latent_channels):
    grid = sparse(map_of(frame_of(1), latent_channels, kept=0.3))
    compare(translator_of(latent_channels), grid, grid.keys[:20])


@pytest.mark.parametrize("width", [1, 16, 32, 40, 64])
def test_any_width(frame_of, map_of, translator_of, width):
    grid = sparse(map_of(frame_of(2), 4, kept=0.3))
    compare(translator_of(4, width), grid, grid.keys[:20])


@pytest.mark.parametrize("touched", [0.001, 0.02, 1.0])
def test_many_and_few_voxels_with_evidence(frame_of, map_of, translator_of, touched):
    grid = sparse(map_of(frame_of(3), 8), touched)
    compare(translator_of(8), grid, grid.keys[:70])


def test_points_inside_the_voxels(frame_of, map_of, translator_of):
    grid = sparse(map_of(frame_of(4), 8))
    compare(translator_of(8), grid, grid.keys[:10], subdivision=2)


def test_blocks_that_the_map_does_not_have_are_free(frame_of, map_of, translator_of):
    grid = sparse(map_of(frame_of(5), 8))
    keys = torch.tensor([[900, -900, 5], [0, 0, 1 << 30]])
    ((_, tsdf, occupancy),) = CompiledTranslation(translator_of(8), grid)(keys)
    assert (tsdf == 1).all()
    assert (occupancy == 0).all()
    assert list(CompiledTranslation(translator_of(8), grid)(keys[:0])) == []


def test_blocks_in_threads_are_as_blocks_one_by_one(frame_of, map_of, translator_of):
    grid = sparse(map_of(frame_of(9), 8, kept=0.3))
    found, keys = CompiledTranslation(translator_of(8), grid), grid.keys[:101]
    together, alone = (
        [torch.cat(parts) for parts in zip(*results, strict=True)]
        for results in (found(keys), [next(found(key[None])) for key in keys])
    )
    assert all(torch.equal(*parts) for parts in zip(together, alone, strict=True))


def test_the_untrained_network_gives_the_running_mean(frame_of, map_of):
    """Its last layer is small, so that what it says is near the mean wherever there is no vote for free space."""
    grid = map_of(frame_of(6), 8)
    grid.values[..., 3] = 0
    network = TranslatorNetwork(8)
    with torch.no_grad():
        network.heads.weight.zero_()
    found = CompiledTranslation(network, grid)
    for keys, tsdf, _ in found(grid.keys[:10]):
        state = grid.values[grid.find(keys)].float()
        seen = state[..., WEIGHT] > 0
        expected = state[..., MEAN].clamp(-0.98, 0.98)
        torch.testing.assert_close(tsdf[..., 0][seen], expected[seen], atol=1e-4, rtol=1e-4)


def test_it_follows_the_map_and_keeps_the_weights(frame_of, map_of, translator_of):
    """A map that grows gets a new table and a new pool; a network that is trained on does not half reach it."""
    frame = frame_of(7)
    grid, network = map_of(frame, 4, kept=0.2), translator_of(4)
    found, keys = translation(True, network, grid), map_of(frame, 4).keys[:8]
    assert isinstance(found, CompiledTranslation)
    grid.allocate(keys)
    grid.values[grid.find(keys)] = torch.rand(8, 512, grid.channels, generator=torch.Generator().manual_seed(1)).half()
    before = next(found(keys))[1]
    torch.testing.assert_close(before, next(Translation(network, grid)(keys))[1], atol=TOLERANCE, rtol=TOLERANCE)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(next(found(keys))[1], before)


def test_it_takes_no_gradients_and_refuses_other_devices(frame_of, map_of, translator_of):
    grid, network = map_of(frame_of(8), 4), translator_of(4)
    assert not next(CompiledTranslation(network, grid)(grid.keys[:2]))[1].requires_grad
    with pytest.raises(ValueError, match="meta"):
        translation(True, network, BlockGrid(8, 0.05, "meta"))
