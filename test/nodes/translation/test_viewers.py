# SPDX-License-Identifier: Apache-2.0
"""What viewers of the mesh and of the TSDF get, and nothing that nobody wants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuralfusion_ros.messages.markers import DELETE_ALL, read_marker_array, stamp_of_markers
from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.nodes import block_sender, latent_copy

VOXEL_M, STAMP_NS = 0.08, 5  # of `room`


def test_a_viewer_sees_the_mesh_of_the_map(make, room, wait_until):
    the = make()
    for numbers in ((0, 1), (2,), (6, 7)):
        the.hand_in(room.messages(*numbers))
        wait_until(lambda: the.settled(room.sender.sequence - 1))
    expected = len(room.mesh().triangles)
    assert expected > 500
    assert abs(the.shown_triangles() - expected) <= 0.01 * expected
    markers = read_marker_array(the.mesh.messages[0])
    assert markers[0].action == DELETE_ALL, "a new map begins by deleting what viewers have from an older one"
    assert not the.rejections.counts


def test_an_update_that_comes_in_pieces_is_translated_once(make, room, monkeypatch):
    monkeypatch.setattr(block_sender, "BLOCKS_PER_MESSAGE", 16)
    monkeypatch.setattr(latent_copy, "_REST_LIMIT_S", 60.0)
    the = make(started=False)
    first, *rest = room.messages(0, 1)
    the.hand_in([first])
    assert 0 < the.work._step() <= 60.0 and not the.work.rounds.in_round and not the.mesh.messages
    the.hand_in(rest)
    the.work._step()
    while the.work.rounds.in_round:
        the.work._step()
    assert the.work.rounds.shown_ns == STAMP_NS and not the.work.rounds.waiting
    assert stamp_of_markers(the.mesh.messages[-1]) == STAMP_NS


def test_a_piece_whose_rest_does_not_come_is_shown_all_the_same(make, room, wait_until, monkeypatch):
    monkeypatch.setattr(block_sender, "BLOCKS_PER_MESSAGE", 16)
    the = make()
    the.hand_in(room.messages(0, 1)[:-1])
    wait_until(lambda: the.shown_triangles() > 0)
    stamps = {stamp_of_markers(message) for message in the.mesh.messages}
    assert stamps == {0}, "not all of the image is shown"


def test_the_mesh_carries_the_stamp_of_the_newest_image_that_it_shows(make, room, wait_until):
    the = make()
    for number, stamp_ns in enumerate((7, 9)):
        the.hand_in(room.messages(number, stamp_ns=stamp_ns))
        wait_until(lambda: the.settled(room.sender.sequence - 1))
        assert stamp_of_markers(the.mesh.messages[-1]) == stamp_ns


def test_a_small_change_sends_few_chunks(make, room, wait_until):
    the = make()
    the.hand_in(room.messages(0, 7, 14))
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    chunks = {marker.id for message in the.mesh.messages for marker in read_marker_array(message)}
    del the.mesh.messages[:]
    room.sender.add(room.mapper.grid.keys[:1], room.mapper.grid.keys[:0], STAMP_NS)
    the.hand_in(room.sent())
    wait_until(lambda: the.settled(room.sender.sequence - 1) and the.mesh.messages)
    changed = {marker.id for message in the.mesh.messages for marker in read_marker_array(message)}
    assert changed < chunks


def test_a_new_viewer_gets_everything(make, room, wait_until):
    the = make()
    the.hand_in(room.messages(0, 1))
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    expected = the.shown_triangles()
    points = sum(len(read_point_cloud(message)[2]) for message in the.tsdf.messages)
    del the.mesh.messages[:], the.tsdf.messages[:]
    the.work.mesh_viewer_came()
    the.work.tsdf_viewer_came()
    wait_until(lambda: the.mesh.messages and the.tsdf.messages)
    assert the.shown_triangles() == expected
    assert sum(len(read_point_cloud(message)[2]) for message in the.tsdf.messages) == points


def test_other_colours_are_sent_to_all_who_look(make, room, wait_until):
    the = make()
    the.hand_in(room.messages(*range(16), *range(16)))
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    expected = the.shown_triangles()
    pictures = []
    for choice in ("uncertainty", "latent", "height"):
        del the.mesh.messages[:]
        the.work.use(replace(the.options, mesh_colour=choice))
        wait_until(lambda: the.shown_triangles() == expected)
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
        the.hand_in(room.messages(*numbers))
        wait_until(lambda: the.settled(room.sender.sequence - 1))
        markers = (marker for message in the.mesh.messages for marker in read_marker_array(message))
        shown |= {marker.id: marker.colours[:, :3] for marker in markers if len(marker.colours)}
        if numbers == (0, 1):
            plain = max(np.ptp(colours, axis=1).max() for colours in shown.values())
    assert plain < 0.1
    assert min(np.ptp(colours, axis=1).max() for colours in shown.values()) > 0.1


def test_the_tsdf_lies_near_the_walls(make, room, wait_until):
    the = make()
    the.hand_in(room.messages(0, 1))
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    frame_id, stamp_ns, points = read_point_cloud(the.tsdf.messages[-1])
    assert frame_id == "odom" and stamp_ns == STAMP_NS
    assert points.dtype.names == ("x", "y", "z", "tsdf", "weight", "occupancy")
    assert (np.abs(points["tsdf"]) <= 4 * VOXEL_M).all() and (points["weight"] > 0).all()
    assert points["x"].max() == pytest.approx(2.0, abs=4 * VOXEL_M)


def test_nothing_is_translated_when_nobody_looks(make, room, wait_until):
    the = make(viewers=0)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.copy.sequence == room.sender.sequence - 1)
    assert the.work.rounds.waiting == room.mapper.grid.n_blocks
    assert the.copy.surface.grid.n_blocks == 0
    assert not the.mesh.messages and not the.tsdf.messages


@pytest.mark.parametrize("topic", ["mesh", "tsdf"])
def test_a_rate_that_is_not_positive_switches_a_topic_off(make, room, wait_until, topic):
    the = make(**{f"{topic}_rate_hz": 0.0})
    the.hand_in(room.messages(0))
    other = the.tsdf if topic == "mesh" else the.mesh
    wait_until(lambda: the.copy.sequence >= 0 and not the.work.rounds.waiting and other.messages)
    assert not getattr(the, topic).messages
