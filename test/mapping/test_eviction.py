# SPDX-License-Identifier: Apache-2.0
"""Which blocks leave a map, and that a mapper that drops blocks maps on as if it had never had them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.eviction import are_within, blocks_beyond, longest_unseen
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.settings import MapSettings

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
WALL_M = np.full((48, 64), 1.5, np.float32)


def grid_of(keys: list[list[int]]) -> BlockGrid:
    grid = BlockGrid(5, 0.125)  # blocks of one metre
    grid.allocate(torch.tensor(keys))
    return grid


def mapper_of(compiled: bool | None = None, **settings: Any) -> Mapper:
    torch.manual_seed(0)
    model = LatentModel(Architecture(latent_channels=2, fusion_width=8, translator_width=8))
    return Mapper(model, MapSettings(voxel_size_m=0.05, max_depth_m=3.0, **settings), compiled=compiled)


def look_from(x_m: float) -> np.ndarray:
    """A camera at (x, 0, 0) that looks along z."""
    pose = np.eye(4)
    pose[0, 3] = x_m
    return pose


def walk(mapper: Mapper, *stops_m: float) -> int:
    return sum(mapper.integrate(WALL_M, look_from(x_m), CAMERA).blocks_refused for x_m in stops_m)


def test_distance_counts_to_the_nearest_point_of_a_block():
    grid = grid_of([[0, 0, 0], [3, 0, 0], [-4, 0, 0], [2, 2, 0]])
    centre = torch.tensor([0.5, 0.5, 0.5])
    gone = grid.keys[blocks_beyond(grid, centre, 2.4)].tolist()
    assert gone == [[-4, 0, 0], [3, 0, 0]]
    assert len(blocks_beyond(grid, centre, 2.2)) == 2
    assert len(blocks_beyond(grid, centre, 2.1)) == 3  # the corner of [2, 2, 0] is 2.12 m away
    assert len(blocks_beyond(grid, centre, 3.6)) == 0


def test_the_longest_unseen_go_first_and_none_in_view():
    grid = grid_of([[number, 0, 0] for number in range(100)])
    grid.stamps[:] = torch.arange(100, 0, -1, dtype=torch.int32)
    assert sorted(longest_unseen(grid, torch.tensor([99, 98]), 7).tolist()) == list(range(91, 98))
    assert len(longest_unseen(grid, torch.tensor([99]), 1)) == 5  # a twentieth of the map, to last for a while
    assert len(longest_unseen(grid, torch.arange(98), 50)) == 2


@pytest.mark.parametrize("radius_m", [3.0, 4.0])
def test_a_radius_keeps_the_map_around_the_camera(radius_m):
    mapper = mapper_of(radius_m=radius_m)
    walk(mapper, *np.arange(0, 12, 0.5))
    low_m = mapper.grid.keys * mapper.grid.block_size_m
    beyond = low_m[:, 0] < 11.5 - radius_m - 0.4
    assert beyond.float().mean() < 0.05  # they leave in batches
    endless = mapper_of()
    walk(endless, *np.arange(0, 12, 0.5))
    assert endless.grid.n_blocks > 1.5 * mapper.grid.n_blocks
    rows = endless.grid.find(mapper.grid.keys)
    near = low_m[:, 0] > 10.5  # seen by the last frames only: the same as in the endless map
    assert near.any()
    torch.testing.assert_close(mapper.grid.values[near], endless.grid.values[rows[near]])


def test_a_full_map_forgets_what_was_out_of_sight_for_longest():
    keeps, refuses = mapper_of(max_bytes=1 << 20, evict=True), mapper_of(max_bytes=1 << 20)
    stops_m = np.arange(0, 12, 0.5)
    assert walk(refuses, *stops_m) > 0
    assert walk(keeps, *stops_m) == 0
    assert keeps.grid.n_blocks <= keeps.grid.max_blocks
    assert float(refuses.grid.keys[:, 0].max()) * 0.4 < 11
    assert float(keeps.grid.keys[:, 0].min()) * 0.4 > 1
    assert len(keeps.mesh().triangles) > 0


def test_what_left_and_what_changed_is_told_once():
    mapper = mapper_of(radius_m=3.0)
    walk(mapper, 0.0)
    known = {tuple(key) for key in mapper.take_changed().tolist()}
    assert len(mapper.take_removed()) == 0
    walk(mapper, 2.0, 9.0)
    changed, removed = mapper.take_changed().tolist(), mapper.take_removed().tolist()
    assert known - {tuple(key) for key in removed} == set()
    known = known.union(map(tuple, changed)) - set(map(tuple, removed))
    assert known == {tuple(key) for key in mapper.grid.keys.tolist()}
    assert len(mapper.take_changed()) == len(mapper.take_removed()) == 0


def test_the_mesh_follows_what_left():
    mapper, fresh = mapper_of(radius_m=3.0), mapper_of()
    walk(mapper, 0.0)
    assert mapper.mesh().vertices[:, 0].min() < 0
    walk(mapper, 10.0)
    walk(fresh, 10.0)
    assert len(mapper.mesh().triangles) == len(fresh.mesh().triangles) > 0
    assert mapper.mesh().vertices[:, 0].min() == pytest.approx(fresh.mesh().vertices[:, 0].min(), abs=1e-5)


# Blocks are 0.4 m wide: those from 0 to 1.2 m along x.
BOX = ((0.3, -math.inf, -math.inf), (1.2, math.inf, math.inf))


def blocks_along_x(mapper: Mapper) -> set[int]:
    return set(mapper.grid.keys[:, 0].tolist())


def test_a_block_that_only_touches_the_box_is_outside():
    keys = torch.tensor([[-1, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [1, 5, 0], [1, 0, -5]])
    box = ((0.0, -10.0, -0.1), (0.6, 1.0, 0.1))
    assert are_within(keys, box, 0.2).tolist() == [False, True, True, True, False, False, False]
    assert are_within(keys, None, 0.2).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_only_what_lies_within_bounds_is_mapped(compiled):
    bounded, endless = mapper_of(compiled, bounds_m=BOX), mapper_of(compiled)
    assert walk(bounded, 0.0, 0.5, 1.0) == 0, "what is outside is not refused for want of memory"
    walk(endless, 0.0, 0.5, 1.0)
    assert blocks_along_x(bounded) == {0, 1, 2} < blocks_along_x(endless)
    rows = endless.grid.find(bounded.grid.keys)
    assert bounded.grid.n_blocks == int(torch.isin(endless.grid.keys[:, 0], torch.arange(3)).sum())
    assert (rows >= 0).all() and (bounded.grid.values[..., 0] > 0).any()


def test_new_bounds_cut_the_map_and_can_be_widened_again():
    mapper = mapper_of()
    walk(mapper, 0.5)
    mapper.take_changed()
    before = blocks_along_x(mapper)
    mapper.change(MapSettings(voxel_size_m=0.05, max_depth_m=3.0, bounds_m=BOX))
    removed = {x for x, _, _ in mapper.take_removed().tolist()}
    assert blocks_along_x(mapper) == {0, 1, 2} and removed == before - {0, 1, 2}
    mapper.change(MapSettings(voxel_size_m=0.05, max_depth_m=3.0))
    walk(mapper, 0.5)
    assert blocks_along_x(mapper) == before


def test_a_loaded_map_is_cut_to_the_bounds(tmp_path: Path):
    endless, bounded = mapper_of(), mapper_of(bounds_m=BOX)
    walk(endless, 0.5)
    endless.save(tmp_path / "map.nfmap")
    bounded.load(tmp_path / "map.nfmap")
    assert blocks_along_x(bounded) == {0, 1, 2}


def test_a_change_reaches_the_next_frame():
    mapper = mapper_of()
    mapper.change(MapSettings(voxel_size_m=0.05, max_depth_m=1.0))
    assert mapper.integrate(WALL_M, look_from(0.0), CAMERA).rays == 0
    mapper.change(MapSettings(voxel_size_m=0.05, max_depth_m=3.0, max_weight=2.0))
    walk(mapper, *[0.0] * 5)
    assert float(mapper.grid.values[..., 0].max()) <= 2.0


@pytest.mark.parametrize("other", [{"voxel_size_m": 0.04}, {"voxel_size_m": 0.05, "max_bytes": 1 << 20}])
def test_voxel_size_and_memory_cannot_be_changed(other):
    mapper = mapper_of()
    with pytest.raises(ValueError, match="cannot be changed"):
        mapper.change(MapSettings(max_depth_m=3.0, **other))
    assert mapper.settings.max_bytes == MapSettings.max_bytes
