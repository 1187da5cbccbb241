# SPDX-License-Identifier: Apache-2.0
"""Sums instead of running means: the same map, and the gradient of all frames."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.integrate import VoxelUpdates, integrate, merge
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, VARIANCE, WEIGHT, n_channels
from neuralfusion_ros.training.additive import DifferentiableMap, state_of, summands, sums_of

LATENT_CHANNELS = 2
ROWS = 512
UNCAPPED = 1e9


def random_state(count: int, seed: int = 0) -> torch.Tensor:
    """(count, C) possible states; every fourth voxel is untouched."""
    state = torch.rand((count, n_channels(LATENT_CHANNELS)), generator=torch.Generator().manual_seed(seed))
    state[:, WEIGHT] = state[:, WEIGHT] * 30 + 0.05
    state[:, MEAN] = state[:, MEAN] * 2 - 1
    state[:, FREE] = torch.round(state[:, FREE] * 9)
    state[::4] = 0
    return state


def random_updates(seed: int, count: int = 60) -> VoxelUpdates:
    """One frame: distinct rows, among them the last one. With gradient."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(ROWS - 1, generator=generator)[: count - 1]
    return VoxelUpdates(
        torch.cat((torch.tensor([ROWS - 1]), rows)),
        (torch.rand(count, generator=generator) + 0.05).requires_grad_(),
        (torch.rand(count, generator=generator) * 2 - 1).requires_grad_(),
        torch.randn((count, LATENT_CHANNELS), generator=generator).requires_grad_(),
        torch.randperm(ROWS, generator=generator)[:20],
    )


def detached(updates: VoxelUpdates) -> VoxelUpdates:
    return VoxelUpdates(
        updates.rows,
        updates.weight.detach(),
        updates.signed_distance.detach(),
        updates.vectors.detach(),
        updates.free_rows,
    )


def grown_map(updates: list[VoxelUpdates]) -> torch.Tensor:
    """(ROWS, C) values of a map with a history after these frames, integrated one by one."""
    grid = BlockGrid(n_channels(LATENT_CHANNELS), 0.05, dtype=torch.float32)
    grid.allocate(torch.zeros((1, 3), dtype=torch.int64))
    grid.values[0] = random_state(ROWS)
    for update in updates:
        integrate(grid, detached(update), UNCAPPED)
    return grid.values.reshape(ROWS, -1)


def gradients(updates: list[VoxelUpdates], loss: torch.Tensor) -> list[torch.Tensor]:
    inputs = [tensor for update in updates for tensor in (update.weight, update.signed_distance, update.vectors)]
    return list(torch.autograd.grad(loss, inputs))


def random_loss(states: torch.Tensor) -> torch.Tensor:
    """A number to which every entry of the states contributes in its own way."""
    factors = torch.randn(states.shape, generator=torch.Generator().manual_seed(9))
    return (factors * states).sum() + (factors * states.square()).sum()


def test_state_of_inverts_sums_of():
    state = random_state(200)
    torch.testing.assert_close(state_of(sums_of(state)), state, atol=2e-5, rtol=1e-5)
    assert torch.equal(sums_of(torch.zeros(2, 6)), torch.zeros(2, 6))
    assert torch.equal(state_of(torch.zeros(2, 6)), torch.zeros(2, 6))


def test_states_of_higher_rank_are_taken_apart_alike():
    sums = sums_of(random_state(24))
    assert torch.equal(state_of(sums.reshape(2, 3, 4, -1)).reshape(24, -1), state_of(sums))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.02, 2), st.floats(-1, 1), st.floats(-2, 2)), min_size=1, max_size=15))
def test_sums_of_observations_give_their_mean_and_variance(observed):
    none, sums = torch.zeros(0, dtype=torch.int64), torch.zeros(1, n_channels(1))
    for weight, distance, latent in observed:
        update = VoxelUpdates(
            torch.zeros(1, dtype=torch.int64),
            torch.tensor([weight]),
            torch.tensor([distance]),
            torch.tensor([[latent]]),
            none,
        )
        sums = sums + summands(update)
    weights, distances, latents = (np.array(column) for column in zip(*observed, strict=True))
    mean = np.average(distances, weights=weights)
    variance = np.average((distances - mean) ** 2, weights=weights)
    expected = [weights.sum(), mean, variance, 0, np.average(latents, weights=weights)]
    assert state_of(sums)[0].tolist() == pytest.approx(expected, abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("frames", [1, 3])
def test_states_equal_the_map_integrated_frame_by_frame(frames):
    updates = [random_updates(seed) for seed in range(frames)]
    values = grown_map(updates)
    states = DifferentiableMap(values, updates).states(torch.arange(ROWS))
    torch.testing.assert_close(states.detach(), values, atol=5e-5, rtol=1e-4)


def test_rows_of_any_shape_and_no_row():
    updates = [random_updates(0)]
    latent = DifferentiableMap(grown_map(updates), updates)
    rows = torch.tensor([[3, -1, ROWS - 1], [-1, 0, int(updates[0].rows[5])]])
    states = latent.states(rows)
    assert states.shape == (2, 3, n_channels(LATENT_CHANNELS))
    assert not states[0, 1].any()
    assert not states[1, 0].any()
    assert torch.equal(states[0, 2], latent.states(torch.tensor([ROWS - 1]))[0])


def test_no_row_carries_no_gradient():
    """Though the last voxel of the map, which row -1 would read in Python, does."""
    updates = [random_updates(0)]
    for read, count in ((torch.tensor([-1, ROWS - 1]), 1), (torch.tensor([-1, -1]), 0)):
        states = DifferentiableMap(grown_map(updates), updates).states(read)
        weight, *_ = gradients(updates, random_loss(states))
        assert int((weight != 0).sum()) == count
        assert bool(weight[0] != 0) == bool(count)


def test_gradient_equals_that_of_merging_frame_by_frame():
    updates = [random_updates(seed) for seed in range(3)]
    values = grown_map(updates)
    rows = torch.arange(ROWS)
    found = gradients(updates, random_loss(DifferentiableMap(values, updates).states(rows)))

    state = random_state(ROWS)
    for update in updates:
        state = state.index_copy(0, update.rows, merge(state[update.rows], update, UNCAPPED))
        votes = torch.zeros_like(state)
        votes[update.free_rows, FREE] = 1
        state = state + votes
    torch.testing.assert_close(state.detach(), values, atol=1e-5, rtol=1e-5)
    for ours, direct in zip(found, gradients(updates, random_loss(state)), strict=True):
        torch.testing.assert_close(ours, direct, atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize("name", ["weight", "signed_distance", "vectors"])
def test_gradient_equals_finite_differences(name):
    updates = [random_updates(seed) for seed in range(2)]
    rows, step = torch.arange(ROWS), 1e-2
    latent = DifferentiableMap(grown_map(updates), updates)
    (found,) = torch.autograd.grad(random_loss(latent.states(rows)), getattr(updates[0], name))

    def moved(index: int, by: float) -> float:
        tensor = getattr(updates[0], name)
        with torch.no_grad():
            tensor.view(-1)[index] += by
            loss = random_loss(grown_map(updates).double())
            tensor.view(-1)[index] -= by
        return float(loss)

    for index in range(0, 40, 8):
        slope = (moved(index, step) - moved(index, -step)) / (2 * step)
        assert float(found.reshape(-1)[index]) == pytest.approx(slope, rel=0.03, abs=0.02)


def test_variance_never_falls_below_zero():
    """Rounding of w d^2 / w - d^2 must not give a negative variance."""
    state = torch.tensor([[50.0, 0.7, 0.0, 0.0, 0.0]])
    sums = sums_of(state)
    for _ in range(50):
        sums = sums + sums_of(state)
    assert float(state_of(sums)[0, VARIANCE]) >= 0
