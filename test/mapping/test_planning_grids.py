# SPDX-License-Identifier: Apache-2.0
"""Occupancy grid and distance field against plain loops over voxels, and against shapes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping import planning_grids
from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.planning_grids import GridTooLarge, esdf_slice, occupancy_grid
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN, query
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.voxel_state import n_channels

VOXEL_M = 0.05


def surface_of(keys, state_of):
    """A translated map of the (N, 3) blocks. state_of: (N, 512, 3) voxels to (N, 512) states."""
    keys = torch.as_tensor(keys)
    surface = SurfaceMap(BlockGrid(n_channels(1), VOXEL_M), TranslatorNetwork(1, width=1))
    surface.latent.allocate(keys)
    states = state_of(keys[:, None] * BLOCK_SIZE + voxel_offsets())
    values = torch.zeros((*states.shape, 4))
    values[..., 0] = torch.where(states == OCCUPIED, -0.3, 0.3)
    values[..., 2] = (states != UNKNOWN).float()
    surface.grid.set_blocks(keys, values)
    return surface


def speckled(share_unknown=0.6, blocks=9):
    """Blocks here and there, below and above zero, with random voxels; unknown ones are many so that all states win."""
    random = np.random.default_rng(3)
    keys = np.unique(random.integers(-3, 3, size=(blocks, 3)), axis=0)
    known = (1 - share_unknown) / 2

    def state_of(voxels):
        shares = [share_unknown, known * 1.7, known * 0.3]
        return torch.as_tensor(random.choice(3, size=voxels.shape[:2], p=shares))

    return surface_of(keys, state_of)


def states_by_voxel(surface):
    """{(x, y, z): state} of every voxel of every block, known or not."""
    found = {}
    for key, values in zip(surface.grid.keys.tolist(), surface.grid.values.tolist(), strict=True):
        for number in range(BLOCK_VOXELS):
            place = (number // 64, number // 8 % 8, number % 8)
            tsdf, _, weight, _ = values[number]
            state = UNKNOWN if weight == 0 else FREE_SPACE if tsdf > 0 else OCCUPIED
            found[tuple(BLOCK_SIZE * k + p for k, p in zip(key, place, strict=True))] = state
    return found


def state_in_loop(voxels, x, y, first, last):
    column = {voxels.get((x, y, z), UNKNOWN) for z in range(first, last + 1)}
    return OCCUPIED if OCCUPIED in column else FREE_SPACE if FREE_SPACE in column else UNKNOWN


@pytest.mark.parametrize(("first", "last"), [(-24, 23), (-3, 2), (5, 5), (-17, -9), (8, 30)])
def test_the_grid_is_that_of_a_loop_over_columns(first, last):
    surface = speckled()
    voxels = states_by_voxel(surface)
    grid = occupancy_grid(surface, first * VOXEL_M, (last + 1) * VOXEL_M)
    x0, y0 = (round(origin / VOXEL_M) for origin in grid.origin_m)
    seen = [(x, y) for x, y, z in voxels if first // 8 <= z // 8 <= last // 8]
    assert (x0, y0) == (min(x for x, _ in seen), min(y for _, y in seen))
    assert grid.states.shape == (max(y for _, y in seen) - y0 + 1, max(x for x, _ in seen) - x0 + 1)
    expected = [
        [state_in_loop(voxels, x0 + column, y0 + row, first, last) for column in range(grid.states.shape[1])]
        for row in range(grid.states.shape[0])
    ]
    np.testing.assert_array_equal(grid.states, expected)
    assert set(np.unique(grid.states)) == {UNKNOWN, FREE_SPACE, OCCUPIED}
    assert grid.cell_size_m == VOXEL_M


@pytest.mark.parametrize(("low_m", "high_m"), [(0.1, 0.15), (0.11, 0.12), (0.1, 0.101), (0.149, 0.15)])
def test_a_voxel_that_reaches_into_the_slab_counts(low_m, high_m):
    surface = surface_of([[0, 0, 0]], lambda voxels: torch.where(voxels[..., 2] == 2, OCCUPIED, UNKNOWN))
    assert (occupancy_grid(surface, low_m, high_m).states == OCCUPIED).all()


@pytest.mark.parametrize(("low_m", "high_m"), [(0.0, 0.1), (0.15, 0.4), (0.15, 9.0)])
def test_a_voxel_that_only_touches_the_slab_does_not_count(low_m, high_m):
    surface = surface_of([[0, 0, 0]], lambda voxels: torch.where(voxels[..., 2] == 2, OCCUPIED, UNKNOWN))
    assert (occupancy_grid(surface, low_m, high_m).states == UNKNOWN).all()


def test_x_runs_along_the_columns_and_y_along_the_rows():
    mark = torch.tensor([-13, 4, 1])  # a post at a place of its own
    keys = [[x, y, 0] for x in (-2, -1, 0) for y in (0, 1)]
    surface = surface_of(keys, lambda voxels: torch.where((voxels == mark).all(-1), OCCUPIED, FREE_SPACE))
    grid = occupancy_grid(surface, 0.0, 0.4)
    ((row, column),) = np.argwhere(grid.states == OCCUPIED)
    assert grid.origin_m == pytest.approx((-16 * VOXEL_M, 0.0))
    assert (grid.origin_m[0] + (column + 0.5) * VOXEL_M) == pytest.approx(-12.5 * VOXEL_M)
    assert (grid.origin_m[1] + (row + 0.5) * VOXEL_M) == pytest.approx(4.5 * VOXEL_M)


@pytest.mark.parametrize("layer", [-1, 4])
@pytest.mark.parametrize("reach_m", [0.12, 50.0])
def test_the_slice_is_that_of_a_loop_over_cells(layer, reach_m):
    surface = speckled(share_unknown=0.3, blocks=40)
    cells = {(x, y): state for (x, y, z), state in states_by_voxel(surface).items() if z == layer}
    kinds = {kind: [cell for cell, state in cells.items() if state == kind] for kind in (FREE_SPACE, OCCUPIED)}
    expected = {}
    for kind, other, sign in ((FREE_SPACE, OCCUPIED, 1), (OCCUPIED, FREE_SPACE, -1)):
        for cell in kinds[kind]:
            nearest = min((math.dist(cell, far) for far in kinds[other]), default=math.inf)
            expected[cell] = sign * min((nearest - 0.5) * VOXEL_M, reach_m)
    found = esdf_slice(surface, (layer + 0.3) * VOXEL_M, reach_m)
    places = np.floor(found.positions_m[:, :2] / VOXEL_M).astype(int)
    assert found.positions_m[:, 2] == pytest.approx((layer + 0.5) * VOXEL_M)
    assert len(places) == len(expected) > 200
    assert [expected[x, y] for x, y in places] == pytest.approx(found.distance_m.tolist(), abs=1e-6)
    assert found.positions_m[:, :2] / VOXEL_M == pytest.approx(places + 0.5, abs=1e-4)


def test_unknown_cells_are_neither_obstacle_nor_way_out():
    """A wall whose front is free and whose back nobody has seen."""

    def state_of(voxels):
        x = voxels[..., 0]
        return torch.where(x < 3, FREE_SPACE, torch.where(x < 7, OCCUPIED, UNKNOWN))

    found = esdf_slice(surface_of([[0, 0, 0]], state_of), 0.1, 9.0)
    columns = np.floor(found.positions_m[:, 0] / VOXEL_M).astype(int)
    for column, cells in enumerate([2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.5]):
        assert found.distance_m[columns == column] == pytest.approx(cells * VOXEL_M)
    assert columns.max() == 6


@pytest.mark.parametrize(("kind", "sign"), [(FREE_SPACE, 1), (OCCUPIED, -1)])
def test_where_there_is_no_other_kind_the_distance_is_the_largest(kind, sign):
    found = esdf_slice(surface_of([[0, 0, 0]], lambda voxels: torch.full(voxels.shape[:2], kind)), 0.1, 1.5)
    assert len(found.distance_m) == 64 and (found.distance_m == sign * 1.5).all()


def test_a_map_that_does_not_reach_there_gives_nothing():
    surface = speckled()
    assert occupancy_grid(surface, 50.0, 51.0).states.shape == (0, 0)
    found = esdf_slice(surface, 50.0, 1.0)
    assert found.positions_m.shape == (0, 3) and found.distance_m.shape == (0,)


def test_a_map_that_reaches_too_far_is_refused(monkeypatch):
    surface = surface_of([[0, 0, 0], [1 << 19, 1 << 19, 0]], lambda voxels: torch.ones(voxels.shape[:2]))
    with pytest.raises(GridTooLarge, match="4194312 by 4194312 cells"):
        occupancy_grid(surface, 0.0, 1.0)
    with pytest.raises(GridTooLarge):
        esdf_slice(surface, 0.0, 1.0)


def test_many_blocks_are_taken_in_parts(monkeypatch):
    surface = speckled(blocks=30)
    expected = occupancy_grid(surface, -9.0, 9.0).states
    monkeypatch.setattr(planning_grids, "_BLOCKS_AT_ONCE", 4)
    np.testing.assert_array_equal(occupancy_grid(surface, -9.0, 9.0).states, expected)


def test_a_voxel_is_what_a_query_at_its_centre_says():
    """Evidence of all kinds, translated by a network as training begins with it."""
    torch.manual_seed(0)
    latent = BlockGrid(n_channels(4), VOXEL_M)
    latent.allocate(torch.tensor([[0, 0, 0], [0, 1, 0]]))
    latent.values[..., :4] = torch.rand(2, BLOCK_VOXELS, 4) * (torch.rand(2, BLOCK_VOXELS, 1) > 0.4)
    latent.values[..., 1] = latent.values[..., 1] * 2 - 1
    translator = TranslatorNetwork(4, width=8)
    surface = SurfaceMap(latent, translator)
    surface.mark_changed(latent.keys)
    surface.translate()
    centres = (surface.grid.keys[:, None] * BLOCK_SIZE + voxel_offsets() + 0.5) * VOXEL_M
    expected = query(latent, translator, centres.reshape(-1, 3).double().numpy()).state
    found = surface.voxel_states(torch.arange(2)).reshape(-1).numpy()
    assert set(expected) == {UNKNOWN, FREE_SPACE, OCCUPIED}
    np.testing.assert_array_equal(found, expected)
