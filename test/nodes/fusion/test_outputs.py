# SPDX-License-Identifier: Apache-2.0
"""What leaves the fusion node: changed blocks, and the camera with its way."""

from __future__ import annotations

import numpy as np

from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.latent_blocks import decode_blocks
from neuralfusion_ros.messages.line_markers import FRUSTUM, PATH
from neuralfusion_ros.messages.markers import ADD, DELETE, read_marker_array

S = 1_000_000_000


def test_a_full_map_is_told_and_the_frame_is_used(make, wait_until):
    the = make()
    the.mapper.refused = 7
    the.send(S)
    wait_until(lambda: the.rejections.counts == {"map_full": 1})
    assert the.work.integrated == 1 and the.work.blocks_refused == 7


def test_changed_blocks_are_published(make, wait_until):
    the = make()
    the.send(S)
    wait_until(lambda: len(the.publisher.messages) == 1)
    message = decode_blocks(the.publisher.messages[0])
    assert message.stamp_ns == S and message.n_blocks_total == 1


def test_nothing_is_published_without_receivers_or_with_the_rate_switched_off(make, wait_until):
    the, off = make(), make(publish_rate_hz=0.0)
    the.publisher.receivers = 0
    for each in (the, off):
        each.send(S)
        wait_until(lambda each=each: each.work.integrated == 1)
        each.send(2 * S)
        wait_until(lambda each=each: each.work.integrated == 2)
    assert the.publisher.messages == []


def test_a_reset_empties_the_map_and_tells_the_receivers(make, wait_until):
    the = make()
    the.send(S)
    wait_until(lambda: len(the.publisher.messages) == 1)
    assert the.work.reset().result(timeout=10) == "The map is empty."
    wait_until(lambda: len(the.publisher.messages) == 2)
    first, second = (decode_blocks(message) for message in the.publisher.messages)
    assert second.first_of_full and second.n_blocks_total == 0 and second.map_id != first.map_id
    assert the.work.n_blocks == 0


def test_a_resend_sends_everything(make, wait_until):
    the = make()
    for number in range(3):
        the.send(S + number)
    wait_until(lambda: the.work.integrated == 3)
    the.work.resend()
    wait_until(lambda: the.publisher.messages and decode_blocks(the.publisher.messages[-1]).first_of_full)
    assert len(decode_blocks(the.publisher.messages[-1]).keys) == 3


def test_it_can_be_started_again_with_the_map_as_it_was(make, wait_until, camera):
    the = make()
    the.send(S)
    wait_until(lambda: the.work.integrated == 1)
    the.work.stop()
    the.work.start()
    the.source.set_camera_info(encode_camera(camera, 0, "camera"))
    the.send(2 * S)
    wait_until(lambda: the.work.integrated == 2)
    assert the.work.n_blocks == 2


def pose_at(x_m):
    pose = np.eye(4)
    pose[0, 3] = x_m
    return pose


def test_the_camera_and_its_way_are_shown(make, wait_until):
    the = make()
    for number in range(4):
        the.poses.add(S + number, pose_at(0.1 * number))
        the.send(S + number, pose=False)
    wait_until(lambda: the.work.integrated == 4 and the.viewers.messages)
    wait_until(lambda: len(read_marker_array(the.viewers.messages[-1])[1].points) == 4)
    frustum, path = read_marker_array(the.viewers.messages[-1])
    assert (frustum.ns, path.ns, frustum.action) == (FRUSTUM, PATH, ADD)
    assert len(frustum.points) == 16
    np.testing.assert_allclose(frustum.points[0], [0.3, 0, 0], atol=1e-9)
    np.testing.assert_allclose(path.points[:, 0], [0, 0.1, 0.2, 0.3], atol=1e-9)
    the.work.reset().result(timeout=20)
    the.send(2 * S)
    wait_until(lambda: read_marker_array(the.viewers.messages[-1])[1].action == DELETE)


def test_the_camera_is_shown_to_those_who_come_late(make, wait_until):
    the = make()
    the.viewers.receivers = 0
    the.send(S)
    wait_until(lambda: the.work.integrated == 1)
    assert the.viewers.messages == []
    the.viewers.receivers = 1
    the.work.camera_viewer_came()
    wait_until(lambda: the.viewers.messages)
