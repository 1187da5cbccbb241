# SPDX-License-Identifier: Apache-2.0
"""Parameters that change while frames come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.latent_blocks import decode_blocks
from neuralfusion_ros.nodes.parameters import FusionParameters

S = 1_000_000_000


def test_limits_of_depth_and_of_waiting_may_change(make, wait_until):
    the = make(max_wait_for_pose_s=60.0)
    the.work.use(replace(FusionParameters(), max_depth=2.0, max_wait_for_pose_s=0.01))
    with pytest.raises(BadMessage, match=r"between 0.1 and 2 m"):
        the.send(S, depth_m=3.0)
    the.send(2 * S, pose=False)
    wait_until(lambda: the.rejections.counts == {"no_pose": 1})
    wait_until(lambda: the.mapper.settings.max_depth_m == 2.0)


def test_a_known_delay_may_change(make, wait_until):
    the = make()
    moved = np.eye(4)
    moved[0, 3] = 5.0
    the.poses.add(2 * S, moved)
    the.work.use(replace(FusionParameters(), time_offset_s=1.0))
    the.send(S, pose=False)
    wait_until(lambda: the.work.integrated == 1)
    np.testing.assert_array_equal(the.mapper.poses[0], moved)


def test_a_gate_for_jumps_may_be_put_up_later(make, wait_until):
    the = make()
    the.send(S)
    wait_until(lambda: the.work.integrated == 1)
    the.work.use(replace(FusionParameters(), max_pose_jump_m=0.5))
    far = np.eye(4)
    far[0, 3] = 1.0
    the.poses.add(S + 1, far)
    the.send(S + 1, pose=False)
    wait_until(lambda: the.rejections.counts == {"pose_jump": 1})


def test_what_new_bounds_leave_out_is_told_to_the_translator(make, wait_until):
    the = make()
    the.send(S)
    the.send(S + 1)
    wait_until(lambda: the.work.integrated == 2 and not the.work.sender.has_work)
    del the.publisher.messages[:]
    options = replace(FusionParameters(), map_bounds="0 0 0 1 1 1", publish_rate_hz=1000.0)
    the.work.use(options)

    def removed():
        return [key for message in list(the.publisher.messages) for key in decode_blocks(message).removed.tolist()]

    wait_until(lambda: removed() == [[1, 0, 0]])
    assert the.mapper.settings == options.map_settings() and the.work.blocks_dropped == 1 and the.work.n_blocks == 1


def test_sending_may_be_switched_off_and_on(make, wait_until):
    the = make()
    the.work.use(replace(FusionParameters(), publish_rate_hz=0.0))
    the.send(S)
    wait_until(lambda: the.work.integrated == 1)
    assert not the.publisher.messages
    the.work.use(replace(FusionParameters(), publish_rate_hz=1000.0))
    wait_until(lambda: the.publisher.messages)
