# SPDX-License-Identifier: Apache-2.0
"""Poses from a topic and from tf2. tf2 itself is not in the wheels, so a stand-in takes its place."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from neuralfusion_ros.mapping.poses import NoPose
from neuralfusion_ros.nodes.parameters import ParameterError
from neuralfusion_ros.nodes.pose_source import TfPoses, TopicPoses

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


class FakeTf:
    """As much of tf2_ros as is used: a camera that is at x = 3 from 10 s on."""

    class TransformException(Exception):
        pass

    class Buffer:
        def __init__(self, keep):
            self.cleared = 0

        def lookup_transform(self, target, source, time):
            if (target, source) != ("odom", "camera") or time.nanoseconds < 10 * S:
                raise FakeTf.TransformException("unknown")
            translation, rotation = SimpleNamespace(x=3.0, y=0.0, z=0.0), SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
            return SimpleNamespace(transform=SimpleNamespace(translation=translation, rotation=rotation))

        def clear(self):
            self.cleared += 1

    class TransformListener:
        def __init__(self, buffer, node):
            self.registered = True

        def unregister(self):
            self.registered = False


def test_tf_gives_the_pose_of_the_optical_frame(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", FakeTf)
    poses = TfPoses(None, "odom", keep_s=10)
    assert poses.at(10 * S, "camera")[0, 3] == 3.0
    with pytest.raises(NoPose, match=r"no transform at 9\.000000 s from 'camera' to 'odom'") as error:
        poses.at(9 * S, "camera")
    assert error.value.may_still_come
    poses.close()


def test_without_tf2_the_refusal_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(ParameterError, match=r"needs the ROS package tf2_ros.*use 'pose' or 'odom'"):
        TfPoses(None, "odom", keep_s=10)
