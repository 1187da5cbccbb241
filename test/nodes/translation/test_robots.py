# SPDX-License-Identifier: Apache-2.0
"""What robots that plan get, on topics that show the whole map in one message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuralfusion_ros.mapping import planning_grids
from neuralfusion_ros.mapping.planning_grids import esdf_slice, occupancy_grid
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN
from neuralfusion_ros.mapping.tsdf_slice import tsdf_slice
from neuralfusion_ros.messages.point_cloud import read_point_cloud

VOXEL_M = 0.08  # of `room`
OCCUPIED_CELL = 100  # of nav_msgs/OccupancyGrid


def test_robots_get_grid_distances_and_surface_of_the_map(make, room, wait_until):
    the = make(viewers=0, planners=1)
    for numbers in ((0, 1), (7,)):
        the.hand_in(room.messages(*numbers))
        wait_until(lambda: the.planned(room.sender.sequence - 1))
    grid, esdf, surface = the.latest()
    assert (grid.header.frame_id, grid.header.stamp.nanosec) == ("odom", 5)
    expected = occupancy_grid(the.copy.surface, 0.1, 1.0)
    assert (grid.info.height, grid.info.width) == expected.states.shape
    cells = np.array(grid.data, np.int8).reshape(expected.states.shape)
    for state, value in ((UNKNOWN, -1), (FREE_SPACE, 0), (OCCUPIED, 100)):
        assert ((cells == value) == (expected.states == state)).all() and (cells == value).any()
    slice_ = read_point_cloud(the.tsdf_slice.messages[-1])[2]
    assert len(slice_) > 50 and (slice_["z"] == slice_["z"][0]).all()
    np.testing.assert_array_equal(slice_["tsdf"], tsdf_slice(the.copy.surface, 0.5).tsdf_m)
    np.testing.assert_array_equal(esdf["distance"], esdf_slice(the.copy.surface, 0.5, 2.0).distance_m)
    assert len(surface) == sum(len(mesh.vertices) for mesh in the.copy.surface.chunk_meshes().values()) > 500
    assert not the.mesh.messages and not the.tsdf.messages


def test_the_planes_show_the_walls_of_the_room_at_their_place(make, room, wait_until):
    """The room reaches to x = 2.0 m; the camera looks along x from -0.5 m."""
    the = make(viewers=0, planners=1)
    the.hand_in(room.messages(0, 1))
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    grid, esdf, _ = the.latest()
    cells = np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)
    row = round(-grid.info.origin.position.y / VOXEL_M)
    wall_m = grid.info.origin.position.x + np.flatnonzero(cells[row] == 100).min() * VOXEL_M
    assert wall_m == pytest.approx(2.0, abs=1.5 * VOXEL_M)
    on_axis = np.abs(esdf["y"]) < VOXEL_M
    expected_m = wall_m - esdf["x"][on_axis]
    np.testing.assert_allclose(esdf["distance"][on_axis], np.clip(expected_m, -2, 2), atol=2.5 * VOXEL_M)


def test_nothing_is_computed_for_robots_that_do_not_listen(make, room, wait_until):
    the = make(viewers=1, planners=0)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    assert [output.published for output in the.work.whole_map.values()] == [0, 0, 0, 0]
    before = len(the.mesh.messages)
    the.occupancy_grid.receivers = 1
    the.work.whole_map_viewer_came("occupancy_grid")
    wait_until(lambda: the.occupancy_grid.messages)
    assert len(the.mesh.messages) == before
    assert not (the.esdf_slice.messages or the.tsdf_slice.messages or the.surface.messages)


def test_an_unchanged_map_is_sent_again_only_to_who_is_new(make, room, wait_until):
    the = make(viewers=0, planners=1)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    before = the.latest()
    counts = [len(output.messages) for output in (the.occupancy_grid, the.esdf_slice, the.surface)]
    the.work.whole_map_viewer_came("surface")
    wait_until(lambda: len(the.surface.messages) == counts[2] + 1)
    assert [len(the.occupancy_grid.messages), len(the.esdf_slice.messages)] == counts[:2]
    np.testing.assert_array_equal(the.latest()[2], before[2])


def test_viewers_of_the_mesh_miss_nothing_while_robots_listen(make, room, wait_until):
    the = make(viewers=1, planners=1)
    for numbers in ((0,), (1,), (2, 3)):
        the.hand_in(room.messages(*numbers))
        wait_until(lambda: the.settled(room.sender.sequence - 1))
    assert the.shown_triangles() == pytest.approx(len(room.mesh().triangles), rel=0.01)


def test_robots_are_told_that_the_map_is_empty(make, room, wait_until):
    the = make(viewers=0, planners=1)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    the.hand_in(room.reset())
    wait_until(lambda: the.copy.starts == 2 and the.planned(room.sender.sequence - 1))
    grid, esdf, surface = the.latest()
    assert (grid.info.width, len(grid.data), len(esdf), len(surface)) == (0, 0, 0, 0)


def test_a_map_that_reaches_too_far_is_counted(make, room, wait_until, monkeypatch):
    monkeypatch.setattr(planning_grids, "MAX_CELLS", 10)
    the = make(viewers=0, planners=1)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.rejections.counts["grid_too_large"] >= 2 and the.surface.messages)
    assert not the.occupancy_grid.messages and not the.rejections.counts["internal"]


@pytest.mark.parametrize(
    ("rate", "topic"),
    [
        ("grid_rate_hz", "occupancy_grid"), ("esdf_rate_hz", "esdf_slice"), ("surface_rate_hz", "surface"),
        ("tsdf_slice_rate_hz", "tsdf_slice"),
    ],
)  # fmt: skip
def test_outputs_for_robots_can_be_switched_off(make, room, wait_until, rate, topic):
    the = make(viewers=0, planners=1, **{rate: -1.0})
    the.hand_in(room.messages(0))
    others = {"occupancy_grid", "esdf_slice", "surface", "tsdf_slice"} - {topic}
    wait_until(lambda: not the.work.rounds.waiting and all(getattr(the, other).messages for other in others))
    assert not getattr(the, topic).messages
    the.work.use(replace(the.options, **{rate: 1000.0}))
    wait_until(lambda: getattr(the, topic).messages)


def test_heights_change_while_the_node_works(make, room, wait_until):
    the = make(viewers=0, planners=1)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    before = the.latest()
    heights = {"esdf_height_m": -0.5, "grid_min_height_m": 3.0, "grid_max_height_m": 4.0}
    the.work.use(replace(the.options, **heights))
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    grid, esdf, surface = the.latest()
    assert OCCUPIED_CELL in before[0].data and OCCUPIED_CELL not in grid.data
    np.testing.assert_allclose(before[1]["z"], 0.5, atol=0.51 * VOXEL_M)
    np.testing.assert_allclose(esdf["z"], -0.5, atol=0.51 * VOXEL_M)
    np.testing.assert_array_equal(surface, before[2])
