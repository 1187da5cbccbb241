# SPDX-License-Identifier: Apache-2.0
"""Late starts, resends, resets and streams of another model."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message

from neuralfusion_ros.mapping.block_index import pack_keys
from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.nodes.block_sender import BlockSender

VOXEL_M, STAMP_NS = 0.08, 5  # of `room`


def test_a_resend_takes_nothing_away_from_robots(make, room, wait_until):
    the = make(viewers=0, planners=1)
    the.hand_in(room.messages(0, 1))
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    expected = the.latest()[0].data
    del the.occupancy_grid.messages[:-1]
    the.hand_in(room.resend())
    wait_until(lambda: the.planned(room.sender.sequence - 1))
    sent = [deserialize_message(message, OccupancyGrid).data for message in the.occupancy_grid.messages]
    assert all(data == expected for data in sent)


def test_a_late_start_asks_until_the_map_is_complete(make, room, wait_until):
    room.messages(0, 1)
    the = make()
    the.hand_in(room.messages(2))
    wait_until(lambda: len(the.resend.messages) >= 2)
    assert not the.copy.complete
    the.hand_in(room.resend())
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    assert the.copy.complete and the.copy.n_blocks == room.mapper.grid.n_blocks
    assert the.shown_triangles() == pytest.approx(len(room.mesh().triangles), rel=0.01)


def test_a_resend_does_not_blank_the_view(make, room, wait_until):
    the = make()
    the.hand_in(room.messages(0, 1))
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    expected = the.shown_triangles()
    the.hand_in(room.resend())
    seen = []

    def shows_the_same():
        seen.append(the.shown_triangles())
        return the.settled(room.sender.sequence - 1)

    wait_until(shows_the_same)
    assert min(seen) >= 0.99 * expected


def test_a_reset_deletes_all_markers(make, room, wait_until):
    the = make()
    the.hand_in(room.messages(0))
    wait_until(lambda: the.settled(room.sender.sequence - 1) and the.shown_triangles())
    the.hand_in(room.reset())
    wait_until(lambda: the.shown_triangles() == 0)
    the.hand_in(room.messages(3))
    wait_until(lambda: the.settled(room.sender.sequence - 1) and the.shown_triangles())
    assert pack_keys(the.copy.surface.latent.keys).sort().values.equal(pack_keys(room.mapper.grid.keys).sort().values)


def test_the_tsdf_tells_what_is_gone(make, room, wait_until):
    """Whoever keeps the points by block, as docs/topics.md says, has what the map has, after changes and a reset."""
    the, reach_m = make(), 8 * VOXEL_M
    has: dict[tuple[int, ...], int] = {}

    def listen():
        for message in the.tsdf.messages:
            points = read_point_cloud(message)[2]
            if len(points) == 0:
                has.clear()
            blocks = np.floor(np.stack([points[axis] for axis in "xyz"], axis=1) / reach_m).astype(int)
            for block in {tuple(block) for block in blocks.tolist()}:
                its = points[(blocks == block).all(axis=1)]
                has[block] = int((its["weight"] > 0).sum())
        del the.tsdf.messages[:]

    def expected():
        voxels = the.copy.surface.surface_voxels()
        blocks = np.floor(voxels.positions_m / reach_m).astype(int)
        return dict(Counter(map(tuple, blocks.tolist())))

    for number in (0, 4):
        the.hand_in(room.messages(number))
        wait_until(lambda: the.settled(room.sender.sequence - 1))
    listen()
    assert has == expected() and len(has) > 20
    rows = torch.arange(0, room.mapper.grid.n_blocks, 3)
    gone = room.mapper.grid.keys[rows].clone()
    room.mapper.grid.remove(rows)
    room.sender.add(gone[:0], gone, STAMP_NS + 1)
    the.hand_in(room.sent())
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    listen()
    assert {block: n for block, n in has.items() if n} == expected()
    assert 0 in has.values()
    the.hand_in(room.reset())
    wait_until(lambda: the.tsdf.messages)
    listen()
    assert has == {}


def test_the_stream_of_another_model_is_refused_without_asking_again(make, room, wait_until):
    the = make()
    wait_until(lambda: the.resend.messages)
    room.sender = BlockSender(room.publisher, "odom", 12345)
    the.hand_in(room.messages(0))
    wait_until(lambda: the.rejections.counts["model"] > 0)
    asked = len(the.resend.messages)
    the.hand_in([b"nonsense"])
    wait_until(lambda: the.rejections.counts["latent_blocks"] == 1)
    assert len(the.resend.messages) == asked and the.copy.surface is None
