# SPDX-License-Identifier: Apache-2.0
"""Poses from a topic, from a topic and a mounting, and from transforms."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.mapping.poses import NoPose, pose_matrix
from neuralfusion_ros.messages.transforms import encode_transforms
from neuralfusion_ros.nodes.pose_source import JUMP_BACK_NS, MountedPoses, TfMountedPoses, TfPoses, TopicPoses
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.transform_listener import TransformListener

S = 1_000_000_000


def shifted(x):
    T = np.eye(4)
    T[0, 3] = x
    return T


def test_a_pose_between_two_is_interpolated():
    poses = TopicPoses(keep_s=10, max_gap_s=0.5)
    poses.add(10 * S, shifted(1.0))
    poses.add(10 * S + S // 5, shifted(2.0))
    assert poses.at(10 * S + S // 10, "camera")[0, 3] == pytest.approx(1.5)


def test_a_pose_that_is_late_may_still_come_and_one_before_the_first_not():
    poses = TopicPoses(keep_s=10, max_gap_s=0.5)
    poses.add(10 * S, np.eye(4))
    for stamp_ns, may_still_come in ((11 * S, True), (9 * S, False)):
        with pytest.raises(NoPose) as error:
            poses.at(stamp_ns, "camera")
        assert error.value.may_still_come is may_still_come


@pytest.mark.parametrize("first", ["pose", "image"])
def test_a_recording_that_begins_again_is_followed(first):
    poses = TopicPoses(keep_s=10, max_gap_s=0.5)
    poses.add(50 * S, shifted(1.0))
    steps = [lambda: poses.time_jumped_back(20 * S), lambda: poses.add(20 * S, shifted(2.0))]
    for step in steps if first == "image" else reversed(steps):
        step()
    assert poses.at(20 * S, "camera")[0, 3] == 2.0
    with pytest.raises(NoPose):
        poses.at(50 * S, "camera")


def test_poses_slightly_out_of_order_are_kept():
    poses = TopicPoses(keep_s=10, max_gap_s=0.5)
    poses.add(10 * S, shifted(1.0))
    poses.add(10 * S - S // 10, shifted(0.0))
    assert poses.at(10 * S, "camera")[0, 3] == 1.0


@pytest.fixture
def transforms(log):
    """odom -> base at x = 3 from 10 s to 10.5 s, and base -> camera 1 m further."""
    listener = TransformListener(10, 0.5, JUMP_BACK_NS, Rejections(log), lambda: None)
    for stamp_ns in (10 * S, 10 * S + S // 2):
        listener.on_tf(encode_transforms([("odom", "base", stamp_ns, shifted(3.0))]))
    listener.on_tf_static(encode_transforms([("base", "camera", 0, shifted(1.0))]))
    return listener


def test_tf_gives_the_pose_of_the_optical_frame(transforms):
    poses = TfPoses(transforms, "odom")
    assert poses.at(10 * S, "camera")[0, 3] == 4.0
    for stamp_ns, frame, may_still_come in ((9 * S, "camera", False), (11 * S, "camera", True), (10 * S, "who", True)):
        with pytest.raises(NoPose) as error:
            poses.at(stamp_ns, frame)
        assert error.value.may_still_come is may_still_come
    with pytest.raises(NoPose, match="no frame_id"):
        poses.at(10 * S, "")


def test_after_a_jump_back_tf_forgets_what_moved(transforms):
    poses = TfPoses(transforms, "odom")
    poses.time_jumped_back(2 * S)
    with pytest.raises(NoPose):
        poses.at(10 * S, "camera")
    transforms.on_tf(encode_transforms([("odom", "base", 2 * S, shifted(5.0))]))
    assert poses.at(2 * S, "camera")[0, 3] == 6.0


def turned_left():
    return pose_matrix((0, 0, 0), (0, 0, np.sqrt(0.5), np.sqrt(0.5)))


def test_a_mounted_camera_turns_with_its_body():
    body = TopicPoses(keep_s=10, max_gap_s=0.5)
    body.add(S, turned_left(), "base")
    T = MountedPoses(body, shifted(2.0)).at(S, "camera")
    np.testing.assert_allclose(T[:3, 3], [0, 2, 0], atol=1e-12)


def test_a_mounting_from_tf_is_that_of_the_body_that_the_odometry_names(transforms):
    body = TopicPoses(keep_s=10, max_gap_s=0.5)
    poses = TfMountedPoses(body, transforms)
    body.add(10 * S, shifted(100.0))
    with pytest.raises(NoPose, match="no child_frame_id") as error:
        poses.at(10 * S, "camera")
    assert error.value.may_still_come
    body.add(10 * S, shifted(100.0), "base")
    assert poses.at(10 * S, "camera")[0, 3] == 101.0


def test_a_bad_transform_is_counted_and_the_others_are_used(transforms, log):
    stretched = np.eye(4)
    data = bytearray(encode_transforms([("odom", "bad", S, stretched), ("odom", "good", S, shifted(7.0))]))
    # The last number of the first transform: the quaternion's w.
    at = data.index(np.float64(1.0).tobytes())
    data[at : at + 8] = np.float64(3.0).tobytes()
    transforms.on_tf(bytes(data))
    assert TfPoses(transforms, "odom").at(S, "good")[0, 3] == 7.0
    assert "from 'bad' to 'odom' is not valid: quaternion has length 3" in log.lines[0]
    transforms.on_tf(b"nonsense")
    assert "rejected, cdr" in log.lines[1]
