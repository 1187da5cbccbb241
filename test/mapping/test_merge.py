# SPDX-License-Identifier: Apache-2.0
"""Updates merged into voxels: running means, the cap of the evidence, and surfaces that go or move."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.integrate import (
    VoxelUpdates,
    integrate,
    merge,
)
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, VARIANCE, WEIGHT, n_channels

VOXEL_M = 0.04

observations = st.lists(st.tuples(st.floats(0.02, 2), st.floats(-1, 1), st.floats(-3, 3)), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(observations)
def test_merging_equals_weighted_mean_and_variance(observed):
    state = torch.zeros(1, n_channels(1))
    for weight, distance, latent in observed:
        update = single_update(weight, distance, [latent])
        state = merge(state, update, max_weight=1e9)
    weights, distances, latents = (np.array(column) for column in zip(*observed, strict=True))
    mean = np.average(distances, weights=weights)
    variance = np.average((distances - mean) ** 2, weights=weights)
    expected = [weights.sum(), mean, variance, 0.0, np.average(latents, weights=weights)]
    assert state[0].tolist() == pytest.approx(expected, abs=1e-4, rel=1e-4)


def single_update(weight: float, distance: float, vector: list[float], row: int = 0) -> VoxelUpdates:
    none = torch.zeros(0, dtype=torch.int64)
    return VoxelUpdates(
        torch.tensor([row]), torch.tensor([weight]), torch.tensor([distance]), torch.tensor([vector]), none
    )


def single_look_through(latent_channels: int = 1, row: int = 0) -> VoxelUpdates:
    none, empty = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    return VoxelUpdates(none, empty, empty, torch.zeros(0, latent_channels), torch.tensor([row]))


def one_block(dtype: torch.dtype = torch.float16) -> BlockGrid:
    grid = BlockGrid(n_channels(1), VOXEL_M, dtype=dtype)
    grid.allocate(torch.zeros((1, 3), dtype=torch.int64))
    return grid


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.none() | st.tuples(st.floats(0.02, 2), st.floats(-1, 1)), min_size=1, max_size=20),
    st.integers(1, 8),
    st.sampled_from([1.0, 3.5, 64.0]),
)
def test_evidence_never_exceeds_the_cap(frames, repeats, cap):
    """None is a look through the voxel. Half precision may round up by its last bit."""
    grid = one_block()
    for frame in frames * repeats:
        integrate(grid, single_look_through() if frame is None else single_update(frame[0], frame[1], [1.0]), cap)
        weight, mean, variance, free, latent = grid.values[0, 0].tolist()
        assert 0 <= weight + free <= cap * (1 + 2e-3)
        assert abs(mean) <= 1
        assert 0 <= variance <= 1.01
        assert latent in (0.0, 1.0)
    assert torch.isfinite(grid.values).all()
    assert not grid.values[0, 1:].any()


def test_cap_keeps_the_ratio_of_weight_and_free_votes():
    state = torch.tensor([[6.0, 0.5, 0.1, 3.0, 0.0]])
    merged = merge(state, single_update(1.0, 0.5, [0.0]), max_weight=5.0)
    assert merged[0, WEIGHT] / merged[0, FREE] == pytest.approx(7 / 3)
    assert merged[0, WEIGHT] + merged[0, FREE] == pytest.approx(5.0)
    assert merged[0, MEAN] == pytest.approx(0.5)


@pytest.mark.parametrize("cap", [8.0, 64.0])
def test_a_surface_is_forgotten_when_it_is_looked_through(cap):
    grid = one_block()
    for _ in range(200):
        integrate(grid, single_update(1.0, -0.1, [1.0]), cap)
    full = float(grid.values[0, 0, WEIGHT])
    assert full == pytest.approx(cap, rel=2e-3)
    for _ in range(int(5 * cap)):
        integrate(grid, single_look_through(), cap)
    assert float(grid.values[0, 0, WEIGHT]) < 0.02 * full
    assert float(grid.values[0, 0, FREE]) > 0.97 * cap


@pytest.mark.parametrize("cap", [8.0, 64.0])
def test_a_surface_that_moved_is_followed(cap):
    grid = one_block()
    for _ in range(200):
        integrate(grid, single_update(1.0, 0.6, [1.0]), cap)
    for _ in range(int(6 * cap)):
        integrate(grid, single_update(1.0, -0.6, [-1.0]), cap)
    weight, mean, _, _, latent = grid.values[0, 0].tolist()
    assert weight == pytest.approx(cap, rel=2e-3)
    assert mean == pytest.approx(-0.6, abs=0.04)  # half precision stops the last small steps
    assert latent == pytest.approx(-1, abs=0.07)


def test_free_votes_count_frames():
    grid = one_block()
    for _ in range(5):
        integrate(grid, single_look_through(row=3), 64.0)
    assert grid.values[0, 3].tolist() == [0, 0, 0, 5, 0]


def test_variance_of_a_voxel_seen_at_two_distances():
    state = torch.zeros(1, n_channels(1))
    for distance in (0.2, -0.2, 0.2, -0.2):
        state = merge(state, single_update(1.0, distance, [0.0]), 64.0)
    assert float(state[0, VARIANCE]) == pytest.approx(0.04, abs=1e-6)
