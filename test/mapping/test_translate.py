# SPDX-License-Identifier: Apache-2.0
"""The translator: blocks equal single voxels, nothing far away matters, untrained it is a TSDF."""

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, read_states, voxel_rows
from neuralfusion_ros.mapping.translate import HALO, TranslatorNetwork, states_with_halo, translate_points
from neuralfusion_ros.mapping.translation import Translation
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, VARIANCE, WEIGHT, n_channels, state_features

LATENT_CHANNELS = 4
KEYS = torch.tensor([[0, 0, 0], [1, 0, 0], [0, -1, 0], [-1, -1, -1], [4, 4, 4]])


def random_map(keys: torch.Tensor = KEYS, latent_channels: int = LATENT_CHANNELS) -> BlockGrid:
    """Blocks of which some voxels are untouched, some only seen through, and most in the band."""
    grid = BlockGrid(n_channels(latent_channels), 0.05)
    grid.allocate(keys)
    values = torch.rand(grid.values.shape, generator=torch.Generator().manual_seed(0))
    values[..., WEIGHT] *= 40
    values[..., MEAN] = values[..., MEAN] * 2 - 1
    values[..., FREE] = (values[..., FREE] * 60 - 30).clamp(min=0)
    values[:, ::5, WEIGHT] = 0
    values[:, ::5, MEAN : VARIANCE + 1] = 0
    values[:, ::15] = 0
    grid.values.copy_(values)
    return grid


def perturbed(latent_channels: int = LATENT_CHANNELS) -> TranslatorNetwork:
    torch.manual_seed(2)
    network = TranslatorNetwork(latent_channels, width=16)
    with torch.no_grad():
        network.heads.weight.normal_()
        network.inside.slope.weight.normal_()
    return network.eval()


def translated(network: TranslatorNetwork, grid: BlockGrid, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """TSDF and occupancy, (N, 512) each, at the centres of the voxels, in the order of the keys."""
    parts = list(Translation(network, grid)(keys))
    assert torch.equal(torch.cat([part[0] for part in parts]), keys)
    return torch.cat([part[1] for part in parts])[..., 0], torch.cat([part[2] for part in parts])[..., 0]


def around(grid: BlockGrid, voxels: torch.Tensor, spacing: int) -> torch.Tensor:
    """(N, 3) voxels to the (N, 27, C) states of their neighbourhoods."""
    axis = torch.arange(-1, 2)
    return read_states(grid, voxel_rows(grid, voxels[:, None] + spacing * torch.cartesian_prod(axis, axis, axis)))


@torch.no_grad()
def test_blocks_equal_single_voxels():
    grid, network = random_map(), perturbed()
    grid.values[grid.find(KEYS[3:]), ::2, WEIGHT] = 0
    grid.values[grid.find(KEYS[4:]), :300, WEIGHT] = 0
    tsdf, occupancy = translated(network, grid, KEYS)
    voxels = (KEYS[:, None] * 8 + voxel_offsets()).reshape(-1, 3)
    single_tsdf, logit = network(around(grid, voxels, 1), around(grid, voxels, 2), torch.zeros(len(voxels), 3))
    steps = torch.tensor([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    asked = (read_states(grid, voxel_rows(grid, voxels[:, None] + steps))[..., WEIGHT] > 0).any(-1)
    assert 200 < (~asked).sum() < len(asked) / 2
    tsdf_of, occupancy_of = tsdf.reshape(-1), occupancy.reshape(-1)
    torch.testing.assert_close(single_tsdf[asked], tsdf_of[asked], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.sigmoid(logit)[asked], occupancy_of[asked], atol=1e-4, rtol=1e-4)
    assert (tsdf_of[~asked] == 1).all()
    assert (occupancy_of[~asked] == 0).all()
    assert tsdf.std() > 0.1
    assert occupancy.std() > 0.02
    assert float(tsdf.abs().max()) <= 1


@torch.no_grad()
@pytest.mark.parametrize("subdivision", [2, 3])
def test_subdivided_blocks_equal_points(subdivision):
    """The points of a voxel are the centres of its parts, x slowest."""
    grid, network = random_map(), perturbed()
    parts = list(Translation(network, grid, subdivision)(KEYS))
    tsdf, occupancy = (torch.cat([part[i] for part in parts]) for i in (1, 2))
    assert tsdf.shape == (len(KEYS), 512, subdivision**3)
    voxels = (KEYS[:, None] * 8 + voxel_offsets()).reshape(-1, 3)
    for i, j, k in ((0, 0, 0), (0, 1, 0), (1, 0, 1), (subdivision - 1,) * 3):
        offset = (torch.tensor([i, j, k]) + 0.5) / subdivision - 0.5
        at_points = translate_points(network, grid, voxels, offset.expand(len(voxels), 3))
        number = (i * subdivision + j) * subdivision + k
        torch.testing.assert_close(at_points[0], tsdf[..., number].reshape(-1), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(at_points[1], occupancy[..., number].reshape(-1), atol=1e-4, rtol=1e-4)
    assert (tsdf[..., 0] - tsdf[..., -1]).abs().mean() > 0.01


def test_states_with_halo_against_plain_loops():
    grid = random_map()
    states = states_with_halo(grid, KEYS)
    size = 8 + 2 * HALO
    assert states.shape == (len(KEYS), size, size, size, grid.channels)
    by_key = {tuple(key): row for row, key in enumerate(grid.keys.tolist())}
    picks = torch.randint(0, size, (300, 3), generator=torch.Generator().manual_seed(1)).tolist()
    found = 0
    for number, key in enumerate(KEYS.tolist()):
        for pick in picks:
            voxel = [key[axis] * 8 + pick[axis] - HALO for axis in range(3)]
            row = by_key.get(tuple(c // 8 for c in voxel))
            x, y, z = (c % 8 for c in voxel)
            expected = torch.zeros(grid.channels) if row is None else grid.values[row, (x * 8 + y) * 8 + z].float()
            assert torch.equal(states[number, pick[0], pick[1], pick[2]].float(), expected)
            found += row is not None
    assert 300 < found < 5 * 300


def test_unrelated_blocks_change_nothing():
    network, keys = perturbed(), KEYS[:3]
    alone = translated(network, random_map(), keys)
    crowd = torch.cartesian_prod(*[torch.arange(10, 15)] * 3)
    grid = random_map()
    grid.set_blocks(crowd, torch.full((len(crowd), BLOCK_VOXELS, grid.channels), 50.0))
    for before, after in zip(alone, translated(network, grid, keys), strict=True):
        assert torch.equal(before, after)
    # Translated together with others: the same up to the order of sums.
    for before, after in zip(alone, translated(network, grid, torch.cat((crowd, keys))), strict=True):
        torch.testing.assert_close(before, after[-len(keys) :], atol=1e-5, rtol=1e-5)


def test_a_voxel_is_felt_two_voxels_away_and_no_further():
    network, grid = perturbed(), random_map()
    voxel = torch.tensor([[4, 4, 4]])
    before = translated(network, grid, KEYS[:1])[0]
    grid.values.reshape(-1, grid.channels)[voxel_rows(grid, voxel), WEIGHT] += 20
    distance = (voxel_offsets() - voxel).abs().amax(dim=-1)
    changed = ((translated(network, grid, KEYS[:1])[0] - before).abs() > 1e-6)[0]
    assert changed[distance == 0].all()
    assert changed[distance == 2].any()
    assert not changed[distance > 2].any()


def test_a_change_crosses_the_border_between_blocks():
    network, grid = perturbed(), random_map()
    before = translated(network, grid, KEYS[:2])[0]
    last_layer = torch.cartesian_prod(torch.tensor([7]), torch.arange(8), torch.arange(8))
    grid.values.reshape(-1, grid.channels)[voxel_rows(grid, last_layer), MEAN] = 0.7
    changed = (translated(network, grid, KEYS[:2])[0] != before).reshape(2, 8, 64).any(-1)
    assert changed[1, :HALO].all()
    assert not changed[1, HALO:].any()


def test_no_blocks_and_many_blocks():
    network = perturbed()
    keys = torch.cartesian_prod(torch.arange(6), torch.arange(6), torch.arange(5))
    grid = random_map(keys)
    assert list(Translation(network, grid)(keys[:0])) == []
    whole, _ = translated(network, grid, keys)
    torch.testing.assert_close(whole[-3:], translated(network, grid, keys[-3:])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("height_voxels", [0.7, 3.2, 7.9])
def test_untrained_the_surface_of_a_clean_plane_lies_where_it_is(seed, height_voxels):
    """Free space above, four voxels of band below, untouched beneath."""
    torch.manual_seed(seed)
    network = TranslatorNetwork(8)
    axis = torch.arange(-1, 3)
    keys = torch.cartesian_prod(axis, axis, axis)
    grid = BlockGrid(n_channels(8), 0.05)
    grid.allocate(keys)
    z = (grid.keys[:, None, 2] * 8 + voxel_offsets()[:, 2]).float() + 0.5
    distance = (z - height_voxels) / TRUNCATION_VOXELS
    grid.values[..., WEIGHT] = ((distance.abs() <= 1) * 10.0).half()
    grid.values[..., MEAN] = (torch.where(distance.abs() <= 1, distance, 0)).half()
    grid.values[..., FREE] = ((distance > 1) * 10.0).half()
    inner = torch.tensor([[0, 0, -1], [0, 0, 0], [0, 0, 1]])
    columns = translated(network, grid, inner)[0].reshape(3, 8, 8, 8).permute(1, 2, 0, 3).reshape(64, 24)
    above = int(height_voxels + 0.5) + 8  # lowest voxel with its centre above the plane
    below, upper = columns[:, above - 1], columns[:, above]
    assert (below < 0).all()
    assert (upper > 0).all()
    crossing = (above - 1 - 8 + 0.5) + below / (below - upper)
    assert float((crossing - height_voxels).abs().max()) < 0.1
    assert (columns[:, above + 1 :] > 0).all()


def test_features_of_an_untouched_voxel_are_zero():
    assert not state_features(torch.zeros(2, 3, n_channels(5))).any()


def test_features_are_finite_and_of_order_one():
    extremes = torch.tensor([[0, 0, 0, 64], [64, 1, 0, 0], [32, -1, 1, 32], [1e-7, 1, 0.5, 64], [0.02, -1, -1e-4, 0]])
    features = state_features(extremes.float())
    assert torch.isfinite(features).all()
    assert float(features.abs().max()) < 2
