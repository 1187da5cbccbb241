# SPDX-License-Identifier: Apache-2.0
"""Late starts, resends, resets and streams of another model."""

from __future__ import annotations

import pytest
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message

from neuralfusion_ros.mapping.block_index import pack_keys
from neuralfusion_ros.nodes.block_sender import BlockSender


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
