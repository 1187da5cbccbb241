# SPDX-License-Identifier: Apache-2.0
"""Pose and odometry messages."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import Point, PoseStamped, Quaternion
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.poses import decode_odometry, decode_pose, encode_odometry, encode_pose

QUARTER_TURN = np.array([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])  # about z


def make_pose(position=(0.0, 0.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0), nanosec=0):
    message = PoseStamped()
    message.header.stamp.nanosec = nanosec
    message.pose.position = Point(**dict(zip("xyz", position, strict=True)))
    message.pose.orientation = Quaternion(**dict(zip("xyzw", orientation, strict=True)))
    return message


def test_a_quaternion_turns_the_right_way():
    half = np.sqrt(0.5)
    stamp_ns, T = decode_pose(make_pose((1.0, 2.0, 3.0), (0.0, 0.0, half, half), nanosec=42))
    assert stamp_ns == 42 and T.dtype == np.float64
    np.testing.assert_allclose(T, QUARTER_TURN, atol=1e-12)


def test_round_trips_through_ros():
    pose = deserialize_message(serialize_message(encode_pose(QUARTER_TURN, 11, "map")), PoseStamped)
    odometry = deserialize_message(serialize_message(encode_odometry(QUARTER_TURN, 12, "odom", "camera")), Odometry)
    assert (pose.header.frame_id, odometry.header.frame_id, odometry.child_frame_id) == ("map", "odom", "camera")
    for (stamp_ns, T), expected_ns in ((decode_pose(pose), 11), (decode_odometry(odometry), 12)):
        assert stamp_ns == expected_ns
        np.testing.assert_allclose(T, QUARTER_TURN, atol=1e-12)


def test_a_quaternion_slightly_off_is_made_a_unit_one():
    _, T = decode_pose(make_pose(orientation=(0.0, 0.0, 0.0, 1.009)))
    np.testing.assert_allclose(T, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (make_pose((float("nan"), 0.0, 0.0)), "pose"),
        (make_pose((0.0, float("inf"), 0.0)), "pose"),
        (make_pose(orientation=(float("nan"), 0.0, 0.0, 1.0)), "pose"),
        (make_pose(orientation=(0.0, 0.0, 0.0, 0.0)), "quaternion"),
        (make_pose(orientation=(0.0, 0.0, 0.0, 1.02)), "quaternion"),
        (make_pose(nanosec=10**9), "stamp"),
    ],
)
def test_bad_poses_are_refused_with_a_reason(message, reason):
    odometry = Odometry(header=message.header)
    odometry.pose.pose = message.pose
    for decode, form in ((decode_pose, message), (decode_odometry, odometry)):
        with pytest.raises(BadMessage) as caught:
            decode(form)
        assert caught.value.reason == reason


any_float = st.one_of(st.floats(-1, 1), st.floats())


@given(st.tuples(*[any_float] * 3), st.tuples(*[any_float] * 4), st.integers(0, 2**32 - 1))
def test_any_pose_is_decoded_or_refused(position, orientation, nanosec):
    try:
        _, T = decode_pose(make_pose(position, orientation, nanosec))
    except BadMessage:
        return
    np.testing.assert_array_equal(T[:3, 3], position)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)


@given(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_every_rotation_survives(quaternion):
    unit = np.array(quaternion) / np.linalg.norm(quaternion)
    _, T = decode_pose(make_pose((1.0, -2.0, 1e6), unit.tolist()))
    np.testing.assert_allclose(decode_pose(encode_pose(T, 0, "map"))[1], T, atol=1e-12)
