# SPDX-License-Identifier: Apache-2.0
"""The translator's work on a real map of a small room: mesh, TSDF, saving, and nothing that nobody wants."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message

from neuralfusion_ros.mapping import planning_grids
from neuralfusion_ros.mapping.block_index import pack_keys
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.mesh_file import read_mesh
from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.mapping.planning_grids import esdf_slice, occupancy_grid
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.tsdf_slice import tsdf_slice
from neuralfusion_ros.messages.markers import ADD, DELETE_ALL, read_marker_array
from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.nodes.block_sender import BlockSender, model_hash
from neuralfusion_ros.nodes.latent_copy import LatentCopy
from neuralfusion_ros.nodes.parameters import TranslatorParameters
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.translation_work import Outputs, TranslationWork

VOXEL_M = 0.08


class Room:
    """A map that grows frame by frame, as a list of messages."""

    def __init__(self, model, publisher, frame_of, camera):
        self.mapper = Mapper(model, MapSettings(voxel_size_m=VOXEL_M))
        self.publisher = publisher
        self.sender = BlockSender(publisher, "odom", model_hash(model.sha256))
        self.frame_of, self.camera = frame_of, camera

    def messages(self, *numbers):
        for number in numbers:
            frame = self.frame_of(number)
            self.mapper.integrate(frame.depth_m, frame.T_world_camera, self.camera)
            self.sender.add(self.mapper.take_changed(), self.mapper.take_removed())
        return self.sent()

    def reset(self):
        self.mapper.reset()
        self.sender.start_new_map()
        return self.sent()

    def resend(self):
        self.sender.resend(self.mapper.grid)
        return self.sent()

    def sent(self):
        while self.sender.has_work:
            self.sender.send(self.mapper.grid, 5, max_messages=8)
        messages, self.publisher.messages[:] = list(self.publisher.messages), []
        return messages

    def mesh(self):
        surface = SurfaceMap(self.mapper.grid, self.mapper.model.translator)
        surface.mark_changed(self.mapper.grid.keys)
        return surface.mesh()


@pytest.fixture(scope="module")
def model(untrained):
    return load_model(untrained)


@pytest.fixture
def room(model, publisher, frame_of, camera):
    return Room(model, publisher, frame_of, camera)


@pytest.fixture
def make(model, publisher, log):
    works = []

    def make(viewers=1, planners=0, started=True, **parameters):
        options = replace(TranslatorParameters(), mesh_rate_hz=1000.0, tsdf_rate_hz=1000.0, resend_timeout_s=0.01)
        options = replace(options, grid_rate_hz=1000.0, esdf_rate_hz=1000.0, surface_rate_hz=1000.0)
        options = replace(options, tsdf_slice_rate_hz=1000.0)
        options = replace(options, max_blocks_per_slice=40, **parameters)
        mesh, tsdf, grid, esdf, tsdf_slice, surface, resend = (type(publisher)() for _ in range(7))
        mesh.receivers = tsdf.receivers = viewers
        grid.receivers = esdf.receivers = tsdf_slice.receivers = surface.receivers = planners
        copy, rejections = LatentCopy(model, torch.device("cpu"), 1 << 28), Rejections(log)
        outputs = Outputs(mesh, tsdf, grid, esdf, tsdf_slice, surface, resend, lambda: True)
        work = TranslationWork(copy, outputs, options, rejections)
        works.append(work)
        if started:
            work.start()
        return SimpleNamespace(work=work, copy=copy, rejections=rejections, **vars(outputs))

    yield make
    for work in works:
        work.stop()


def hand_in(the, messages):
    for message in messages:
        the.work.add_message(message)


def settled(the, newest_sequence):
    """All messages are applied and everything that is wanted is translated and sent."""
    work = the.work

    def between_two_steps():
        if the.copy.sequence != newest_sequence or work.rounds.waiting or work.rounds.in_round:
            return False
        return not (work.mesh_is_old or work.tsdf_stream.has_work)

    return work.worker.submit(between_two_steps).result(timeout=60)


def shown_triangles(mesh_publisher):
    """Triangles that a viewer has after all messages."""
    shown: dict[int, int] = {}
    for message in mesh_publisher.messages:
        for marker in read_marker_array(message):
            if marker.action == DELETE_ALL:
                shown.clear()
            elif marker.action == ADD:
                shown[marker.id] = len(marker.points) // 3
            else:
                shown.pop(marker.id, None)
    return sum(shown.values())


def test_a_viewer_sees_the_mesh_of_the_map(make, room, wait_until):
    the = make()
    for numbers in ((0, 1), (2,), (6, 7)):
        hand_in(the, room.messages(*numbers))
        wait_until(lambda: settled(the, room.sender.sequence - 1))
    expected = len(room.mesh().triangles)
    assert expected > 500
    assert abs(shown_triangles(the.mesh) - expected) <= 0.01 * expected
    markers = read_marker_array(the.mesh.messages[0])
    assert markers[0].action == DELETE_ALL, "a new map begins by deleting what viewers have from an older one"
    assert not the.rejections.counts


def test_a_small_change_sends_few_chunks(make, room, wait_until):
    the = make()
    hand_in(the, room.messages(0, 7, 14))
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    chunks = {marker.id for message in the.mesh.messages for marker in read_marker_array(message)}
    del the.mesh.messages[:]
    room.sender.add(room.mapper.grid.keys[:1], room.mapper.grid.keys[:0])
    hand_in(the, room.sent())
    wait_until(lambda: settled(the, room.sender.sequence - 1) and the.mesh.messages)
    changed = {marker.id for message in the.mesh.messages for marker in read_marker_array(message)}
    assert changed < chunks


def test_a_new_viewer_gets_everything(make, room, wait_until):
    the = make()
    hand_in(the, room.messages(0, 1))
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    expected = shown_triangles(the.mesh)
    points = sum(len(read_point_cloud(message)[2]) for message in the.tsdf.messages)
    del the.mesh.messages[:], the.tsdf.messages[:]
    the.work.mesh_viewer_came()
    the.work.tsdf_viewer_came()
    wait_until(lambda: the.mesh.messages and the.tsdf.messages)
    assert shown_triangles(the.mesh) == expected
    assert sum(len(read_point_cloud(message)[2]) for message in the.tsdf.messages) == points


def test_other_colours_are_sent_to_all_who_look(make, room, wait_until):
    the = make()
    hand_in(the, room.messages(*range(16), *range(16)))
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    expected = shown_triangles(the.mesh)
    pictures = []
    for choice in ("height", "uncertainty", "latent"):
        del the.mesh.messages[:]
        the.work.paint_by(choice)
        wait_until(lambda: shown_triangles(the.mesh) == expected)
        markers = [marker for message in the.mesh.messages for marker in read_marker_array(message)]
        pictures.append(np.concatenate([its.colours[:, :3] for its in sorted(markers, key=lambda its: its.id)]))
        assert np.ptp(pictures[-1], axis=1).max() > 0.1
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[one] - pictures[other]).mean() > 0.02
    assert not the.rejections.counts


def test_latent_colours_reach_who_saw_the_mesh_plain_before(make, room, wait_until):
    the = make(mesh_colour="latent")
    shown: dict[int, np.ndarray] = {}
    for numbers in ((0, 1), (*range(2, 16), *range(2, 16))):
        hand_in(the, room.messages(*numbers))
        wait_until(lambda: settled(the, room.sender.sequence - 1))
        markers = (marker for message in the.mesh.messages for marker in read_marker_array(message))
        shown |= {marker.id: marker.colours[:, :3] for marker in markers if len(marker.colours)}
        if numbers == (0, 1):
            plain = max(np.ptp(colours, axis=1).max() for colours in shown.values())
    assert plain < 0.1
    assert min(np.ptp(colours, axis=1).max() for colours in shown.values()) > 0.1


def test_the_tsdf_lies_near_the_walls(make, room, wait_until):
    the = make()
    hand_in(the, room.messages(0, 1))
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    frame_id, stamp_ns, points = read_point_cloud(the.tsdf.messages[-1])
    assert frame_id == "odom" and stamp_ns == 5
    assert points.dtype.names == ("x", "y", "z", "tsdf", "weight", "occupancy")
    assert (np.abs(points["tsdf"]) <= 4 * VOXEL_M).all() and (points["weight"] > 0).all()
    assert points["x"].max() == pytest.approx(2.0, abs=4 * VOXEL_M)


def test_nothing_is_translated_when_nobody_looks(make, room, wait_until):
    the = make(viewers=0)
    hand_in(the, room.messages(0))
    wait_until(lambda: the.copy.sequence == room.sender.sequence - 1)
    assert the.work.rounds.waiting == room.mapper.grid.n_blocks
    assert the.copy.surface.grid.n_blocks == 0
    assert not the.mesh.messages and not the.tsdf.messages


def latest(the):
    """What the last messages for robots say: the grid, and the points of both clouds."""
    grid = deserialize_message(the.occupancy_grid.messages[-1], OccupancyGrid)
    return grid, *(read_point_cloud(output.messages[-1])[2] for output in (the.esdf_slice, the.surface))


def planned(the, newest_sequence):
    """As settled, for the outputs that robots plan with."""
    work = the.work

    def between_two_steps():
        if the.copy.sequence != newest_sequence or work.rounds.waiting or work.rounds.in_round:
            return False
        return not any(output.is_old for output in work.whole_map.values())

    return work.worker.submit(between_two_steps).result(timeout=60)


def test_robots_get_grid_distances_and_surface_of_the_map(make, room, wait_until):
    the = make(viewers=0, planners=1)
    for numbers in ((0, 1), (7,)):
        hand_in(the, room.messages(*numbers))
        wait_until(lambda: planned(the, room.sender.sequence - 1))
    grid, esdf, surface = latest(the)
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
    hand_in(the, room.messages(0, 1))
    wait_until(lambda: planned(the, room.sender.sequence - 1))
    grid, esdf, _ = latest(the)
    cells = np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)
    row = round(-grid.info.origin.position.y / VOXEL_M)
    wall_m = grid.info.origin.position.x + np.flatnonzero(cells[row] == 100).min() * VOXEL_M
    assert wall_m == pytest.approx(2.0, abs=1.5 * VOXEL_M)
    on_axis = np.abs(esdf["y"]) < VOXEL_M
    expected_m = wall_m - esdf["x"][on_axis]
    np.testing.assert_allclose(esdf["distance"][on_axis], np.clip(expected_m, -2, 2), atol=2.5 * VOXEL_M)


def test_nothing_is_computed_for_robots_that_do_not_listen(make, room, wait_until):
    the = make(viewers=1, planners=0)
    hand_in(the, room.messages(0))
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    assert [output.published for output in the.work.whole_map.values()] == [0, 0, 0, 0]
    before = len(the.mesh.messages)
    the.occupancy_grid.receivers = 1
    the.work.whole_map_viewer_came("occupancy_grid")
    wait_until(lambda: the.occupancy_grid.messages)
    assert len(the.mesh.messages) == before
    assert not (the.esdf_slice.messages or the.tsdf_slice.messages or the.surface.messages)


def test_an_unchanged_map_is_sent_again_only_to_who_is_new(make, room, wait_until):
    the = make(viewers=0, planners=1)
    hand_in(the, room.messages(0))
    wait_until(lambda: planned(the, room.sender.sequence - 1))
    before = latest(the)
    counts = [len(output.messages) for output in (the.occupancy_grid, the.esdf_slice, the.surface)]
    the.work.whole_map_viewer_came("surface")
    wait_until(lambda: len(the.surface.messages) == counts[2] + 1)
    assert [len(the.occupancy_grid.messages), len(the.esdf_slice.messages)] == counts[:2]
    np.testing.assert_array_equal(latest(the)[2], before[2])


def test_viewers_of_the_mesh_miss_nothing_while_robots_listen(make, room, wait_until):
    the = make(viewers=1, planners=1)
    for numbers in ((0,), (1,), (2, 3)):
        hand_in(the, room.messages(*numbers))
        wait_until(lambda: settled(the, room.sender.sequence - 1))
    assert shown_triangles(the.mesh) == pytest.approx(len(room.mesh().triangles), rel=0.01)


def test_robots_are_told_that_the_map_is_empty(make, room, wait_until):
    the = make(viewers=0, planners=1)
    hand_in(the, room.messages(0))
    wait_until(lambda: planned(the, room.sender.sequence - 1))
    hand_in(the, room.reset())
    wait_until(lambda: the.copy.starts == 2 and planned(the, room.sender.sequence - 1))
    grid, esdf, surface = latest(the)
    assert (grid.info.width, len(grid.data), len(esdf), len(surface)) == (0, 0, 0, 0)


def test_a_resend_takes_nothing_away_from_robots(make, room, wait_until):
    the = make(viewers=0, planners=1)
    hand_in(the, room.messages(0, 1))
    wait_until(lambda: planned(the, room.sender.sequence - 1))
    expected = latest(the)[0].data
    del the.occupancy_grid.messages[:-1]
    hand_in(the, room.resend())
    wait_until(lambda: planned(the, room.sender.sequence - 1))
    sent = [deserialize_message(message, OccupancyGrid).data for message in the.occupancy_grid.messages]
    assert all(data == expected for data in sent)


def test_a_map_that_reaches_too_far_is_counted(make, room, wait_until, monkeypatch):
    monkeypatch.setattr(planning_grids, "MAX_CELLS", 10)
    the = make(viewers=0, planners=1)
    hand_in(the, room.messages(0))
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
    hand_in(the, room.messages(0))
    others = {"occupancy_grid", "esdf_slice", "surface", "tsdf_slice"} - {topic}
    wait_until(lambda: not the.work.rounds.waiting and all(getattr(the, other).messages for other in others))
    assert not getattr(the, topic).messages


@pytest.mark.parametrize("topic", ["mesh", "tsdf"])
def test_a_rate_that_is_not_positive_switches_a_topic_off(make, room, wait_until, topic):
    the = make(**{f"{topic}_rate_hz": 0.0})
    hand_in(the, room.messages(0))
    other = the.tsdf if topic == "mesh" else the.mesh
    wait_until(lambda: the.copy.sequence >= 0 and not the.work.rounds.waiting and other.messages)
    assert not getattr(the, topic).messages


def test_saving_writes_the_whole_mesh_even_if_nobody_looks(make, room, tmp_path):
    the = make(viewers=0)
    hand_in(the, room.messages(0, 1))
    path = tmp_path / "room.ply"
    answer = the.work.save_mesh(path).result(timeout=60)
    triangles = len(read_mesh(path).triangles)
    assert answer == f"Wrote {triangles} triangles to {path}."
    assert abs(triangles - len(room.mesh().triangles)) <= 0.01 * triangles
    assert [file.name for file in tmp_path.iterdir()] == ["room.ply"]


def test_viewers_miss_nothing_when_the_mesh_is_saved(make, room, tmp_path, wait_until):
    the = make()
    hand_in(the, room.messages(0, 1))
    the.work.save_mesh(tmp_path / "room.ply").result(timeout=60)
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    assert shown_triangles(the.mesh) == pytest.approx(len(room.mesh().triangles), rel=0.01)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("room.obj", "must end in .ply"), ("no/room.ply", "there is no folder"), ("room.ply", "no map")],
)
def test_what_cannot_be_saved_is_told(make, tmp_path, name, problem):
    the = make()
    with pytest.raises(Exception, match=problem):
        the.work.save_mesh(tmp_path / name).result(timeout=60)
    assert not list(tmp_path.iterdir())


def test_a_late_start_asks_until_the_map_is_complete(make, room, wait_until):
    room.messages(0, 1)
    the = make()
    hand_in(the, room.messages(2))
    wait_until(lambda: len(the.resend.messages) >= 2)
    assert not the.copy.complete
    hand_in(the, room.resend())
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    assert the.copy.complete and the.copy.n_blocks == room.mapper.grid.n_blocks
    assert shown_triangles(the.mesh) == pytest.approx(len(room.mesh().triangles), rel=0.01)


def test_a_resend_does_not_blank_the_view(make, room, wait_until):
    the = make()
    hand_in(the, room.messages(0, 1))
    wait_until(lambda: settled(the, room.sender.sequence - 1))
    expected = shown_triangles(the.mesh)
    hand_in(the, room.resend())
    seen = []

    def shows_the_same():
        seen.append(shown_triangles(the.mesh))
        return settled(the, room.sender.sequence - 1)

    wait_until(shows_the_same)
    assert min(seen) >= 0.99 * expected


def test_a_reset_deletes_all_markers(make, room, wait_until):
    the = make()
    hand_in(the, room.messages(0))
    wait_until(lambda: settled(the, room.sender.sequence - 1) and shown_triangles(the.mesh))
    hand_in(the, room.reset())
    wait_until(lambda: shown_triangles(the.mesh) == 0)
    hand_in(the, room.messages(3))
    wait_until(lambda: settled(the, room.sender.sequence - 1) and shown_triangles(the.mesh))
    assert pack_keys(the.copy.surface.latent.keys).sort().values.equal(pack_keys(room.mapper.grid.keys).sort().values)


def test_the_stream_of_another_model_is_refused_without_asking_again(make, room, wait_until):
    the = make()
    wait_until(lambda: the.resend.messages)
    room.sender = BlockSender(room.publisher, "odom", 12345)
    hand_in(the, room.messages(0))
    wait_until(lambda: the.rejections.counts["model"] > 0)
    asked = len(the.resend.messages)
    hand_in(the, [b"nonsense"])
    wait_until(lambda: the.rejections.counts["latent_blocks"] == 1)
    assert len(the.resend.messages) == asked and the.copy.surface is None
