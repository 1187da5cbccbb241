# SPDX-License-Identifier: Apache-2.0
"""Where the map is judged, and by what measure."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT, n_channels
from neuralfusion_ros.training.losses import Queries, map_loss, sample_queries
from neuralfusion_ros.training.sequences import NoisyStream
from neuralfusion_ros.training.solids import rod

BEHIND_M = 1.7  # the wall's far side is at 1.6 m


@pytest.fixture
def stream(wall_tour) -> NoisyStream:
    """All its frames have been taken."""
    stream = NoisyStream(wall_tour, np.random.default_rng(0))
    stream.take(1000)
    return stream


@pytest.fixture
def grid(stream) -> BlockGrid:
    """Around the wall in front of the camera: band within 0.1 m, free in front, and false evidence behind."""
    grid = BlockGrid(n_channels(1), stream.voxel_size_m, dtype=torch.float32)
    axis, far = torch.arange(-2, 2), math.ceil(2.0 / grid.block_size_m)
    grid.allocate(torch.cartesian_prod(axis, axis, torch.arange(0, far)))
    z = centres_m(grid)[:, 2]
    values = grid.values.reshape(-1, grid.channels)
    values[:, WEIGHT] = ((z - 1.5).abs() < 0.1).float()
    values[:, FREE] = ((z > 0.7) & (z < 1.4) | (z > BEHIND_M)).float()
    return grid


def centres_m(grid: BlockGrid) -> torch.Tensor:
    voxels = grid.keys[:, None].long() * 8 + voxel_offsets()
    return (voxels.reshape(-1, 3) + 0.5) * grid.voxel_size_m


def drawn(grid: BlockGrid, stream: NoisyStream, count: int = 2000, seed: int = 0) -> Queries:
    return sample_queries(grid, stream, count, torch.Generator().manual_seed(seed))


def test_queries_are_touched_voxels_with_the_true_distance(grid, stream):
    queries = drawn(grid, stream)
    rows = queries.near[:, 13]
    state = grid.values.reshape(-1, grid.channels)[rows]
    assert ((state[:, WEIGHT] > 0) | (state[:, FREE] > 0)).all()
    truncation_m = TRUNCATION_VOXELS * grid.voxel_size_m
    points_m = centres_m(grid)[rows] + queries.offset * grid.voxel_size_m
    truth = stream.sequence.scene.signed_distance(points_m) / truncation_m
    torch.testing.assert_close(queries.target, truth.clamp(-1, 1), atol=1e-5, rtol=0)
    assert (queries.target < 0).any()
    assert (queries.target == 1).any()


def test_half_of_the_queries_are_centres_and_the_others_lie_anywhere_in_their_voxel(grid, stream):
    offset = drawn(grid, stream).offset
    centred = (offset == 0).all(dim=-1)
    assert 0.4 < centred.float().mean() < 0.6
    assert offset[~centred].amin(0).tolist() == pytest.approx([-0.5] * 3, abs=0.02)
    assert offset[~centred].amax(0).tolist() == pytest.approx([0.5] * 3, abs=0.02)


def test_most_queries_lie_in_the_band(grid, stream):
    queries = drawn(grid, stream)
    in_band = grid.values.reshape(-1, grid.channels)[queries.near[:, 13], WEIGHT] > 0
    assert 1000 < len(queries.target) <= 2000
    assert 0.5 < in_band.float().mean() < 0.9
    assert len(queries.near[:, 13].unique()) > 0.8 * len(queries.near)


def test_some_queries_are_near_a_thin_rod_and_want_it_a_voxel_thick(wall_tour, grid):
    thin = rod((-0.1, -0.2, 1.0), (-0.1, 0.2, 1.0), 0.003)
    scene = replace(wall_tour.scene, solids=(*wall_tour.scene.solids, thin))
    stream = NoisyStream(replace(wall_tour, scene=scene), np.random.default_rng(0))
    stream.take(1000)
    queries = drawn(grid, stream)
    points_m = centres_m(grid)[queries.near[:, 13]] + queries.offset * grid.voxel_size_m
    near = replace(scene, solids=(thin,)).signed_distance(points_m) < 3 * grid.voxel_size_m
    assert 0.1 < near.float().mean() < 0.2
    inside = near & (queries.target < 0)
    assert inside.float().sum() > 0.05 * near.float().sum()
    assert (scene.signed_distance(points_m[inside]) > 0).float().mean() > 0.5  # of a rod that is nowhere so thick


def test_space_that_nobody_looked_into_is_left_out(grid, stream):
    rows = drawn(grid, stream, 4000).near[:, 13]
    assert float(centres_m(grid)[rows, 2].max()) < BEHIND_M
    inside_wall = (centres_m(grid)[rows, 2] > 1.5) & (centres_m(grid)[rows, 2] < 1.6)
    assert inside_wall.any()  # solid is known to be solid


def test_neighbourhoods_at_both_spacings(grid, stream):
    queries = drawn(grid, stream, 300)
    centres = centres_m(grid)
    middle = centres[queries.near[:, 13]]
    steps = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3) * grid.voxel_size_m
    assert torch.equal(queries.near[:, 13], queries.far[:, 13])
    for rows, spacing in ((queries.near, 1), (queries.far, 2)):
        assert rows.shape == (len(queries.target), 27)
        wanted = middle[:, None] + spacing * steps
        exists = rows >= 0
        torch.testing.assert_close(centres[rows[exists]], wanted[exists], atol=1e-5, rtol=0)
        inside = grid.find(torch.floor(wanted / grid.block_size_m).long()) >= 0
        assert torch.equal(inside, exists)


def test_same_generator_same_queries(grid, stream):
    first, again, other = (drawn(grid, stream, 500, seed) for seed in (1, 1, 2))
    assert torch.equal(first.near, again.near)
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.near[:50], other.near[:50])


def test_an_empty_map_gives_no_queries(stream):
    empty = BlockGrid(n_channels(1), stream.voxel_size_m)
    empty.allocate(torch.zeros((1, 3), dtype=torch.int64))
    queries = drawn(empty, stream, 100)
    assert queries.near.shape == queries.far.shape == (0, 27)
    assert queries.target.shape == (0,)


def test_only_band_or_only_free_space(grid, stream):
    grid.values[..., FREE] = 0
    assert len(drawn(grid, stream, 100).target) > 30
    grid.values[..., FREE] = grid.values[..., WEIGHT]
    grid.values[..., WEIGHT] = 0
    assert len(drawn(grid, stream, 100).target) > 20
    assert grid.values.reshape(-1, BLOCK_VOXELS, grid.channels).shape == grid.values.shape


def test_loss_against_its_formula():
    tsdf, target = np.array([0.1, -0.4, 0.9, -1.0]), np.array([0.2, -0.45, 0.6, -0.8])
    logit = np.array([-2.0, 1.0, 0.5, 3.0])
    weight = np.where(np.abs(target) < 0.5, 4.0, 1.0)
    error = (weight * np.abs(tsdf - target)).sum() / weight.sum()
    occupied = target < 0
    entropy = np.mean(np.log1p(np.exp(-logit)) * occupied + np.log1p(np.exp(logit)) * ~occupied)
    loss = map_loss(torch.from_numpy(tsdf), torch.from_numpy(logit), torch.from_numpy(target))
    assert float(loss) == pytest.approx(0.1 * np.log(error + 0.005) + 0.3 * entropy, rel=1e-6)


def test_loss_is_least_at_the_truth():
    target = torch.linspace(-1, 1, 21)
    sure = torch.where(target < 0, 20.0, -20.0)
    least = map_loss(target, sure, target)
    assert map_loss(target + 0.1, sure, target) > least + 0.1
    assert map_loss(target, -sure, target) > least + 1


def test_half_the_error_is_worth_as_much_with_an_exact_sensor_as_with_a_bad_one():
    target, logit = torch.linspace(-1, 1, 21), torch.zeros(21)
    off_by = {error: float(map_loss(target + error, logit, target)) for error in (0.05, 0.1, 0.4, 0.8)}
    assert off_by[0.1] - off_by[0.05] == pytest.approx(off_by[0.8] - off_by[0.4], rel=0.1)


def test_loss_has_a_gradient_for_both_outputs():
    tsdf, logit = torch.zeros(5, requires_grad=True), torch.zeros(5, requires_grad=True)
    map_loss(tsdf, logit, torch.tensor([-0.3, -0.1, 0.2, 0.7, 1.0])).backward()
    assert tsdf.grad is not None
    assert logit.grad is not None
    assert tsdf.grad.sign().tolist() == [1, 1, -1, -1, -1]
    assert logit.grad.sign().tolist() == [-1, -1, 1, 1, 1]


def test_with_a_solid_weight_it_costs_more_to_miss_something_than_to_see_it_where_nothing_is():
    logit = torch.zeros(2)
    missed = map_loss(torch.tensor([0.2, 0.2]), logit, torch.tensor([-0.2, 0.2]), solid_weight=3.0)
    imagined = map_loss(torch.tensor([-0.2, -0.2]), logit, torch.tensor([-0.2, 0.2]), solid_weight=3.0)
    equal = map_loss(torch.tensor([0.2, 0.2]), logit, torch.tensor([-0.2, 0.2]))
    assert missed > 1.2 * equal > imagined
    plain = map_loss(torch.tensor([-0.2, -0.2]), logit, torch.tensor([-0.2, 0.2]))
    torch.testing.assert_close(plain, equal)
