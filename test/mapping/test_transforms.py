# SPDX-License-Identifier: Apache-2.0
"""Where one frame is in another: up, down and across the tree, at a moment between two messages."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.mapping.poses import NoPose, pose_matrix
from neuralfusion_ros.mapping.transforms import Transforms, chain_up

S = 1_000_000_000
QUARTER_TURN = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))


def shifted(x):
    return pose_matrix((x, 0, 0), (0, 0, 0, 1))


@pytest.fixture
def robot():
    """map -> odom -> base (moves along x, 1 m/s, from 10 s to 11 s) -> camera (turned), and map -> door."""
    transforms = Transforms(max_gap_ns=S, jump_back_ns=S)
    transforms.add_fixed("odom", "map", shifted(100.0))
    transforms.add_fixed("/camera", "base", pose_matrix((0, 0.5, 0), QUARTER_TURN))
    transforms.add_fixed("door", "map", shifted(7.0))
    for second in (10, 11):
        transforms.add_moving("base", "odom", second * S, shifted(second))
    return transforms


def test_a_chain_is_multiplied_and_interpolated_at_the_moment(robot):
    expected = shifted(110.25) @ pose_matrix((0, 0.5, 0), QUARTER_TURN)
    np.testing.assert_allclose(robot.at("camera", "map", 10 * S + S // 4), expected, atol=1e-12)


def test_a_frame_beside_or_below_is_found_too(robot):
    T = robot.at("camera", "door", 10 * S)
    np.testing.assert_allclose(T[:3, 3], [103.0, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(robot.at("door", "camera", 10 * S) @ T, np.eye(4), atol=1e-12)


def test_a_frame_in_itself_is_where_it_is(robot):
    np.testing.assert_array_equal(robot.at("camera", "/camera", 0), np.eye(4))


def test_what_was_not_heard_of_may_still_come_and_names_the_known_frames(robot):
    with pytest.raises(NoPose, match=r"from 'lidar' to 'map'; known frames: base, camera, door, map, odom") as error:
        robot.at("lidar", "map", 10 * S)
    assert error.value.may_still_come
    robot.add_fixed("lidar", "base", np.eye(4))
    assert robot.at("lidar", "map", 10 * S)[0, 3] == 110.0


@pytest.mark.parametrize(("stamp_ns", "may_still_come"), [(12 * S, True), (9 * S, False)])
def test_a_moment_outside_names_the_transform_at_fault(robot, stamp_ns, may_still_come):
    with pytest.raises(NoPose, match="transform from 'base' to 'odom': no pose at") as error:
        robot.at("camera", "map", stamp_ns)
    assert error.value.may_still_come is may_still_come


def test_a_gap_is_not_bridged(robot):
    robot.add_moving("base", "odom", 20 * S, shifted(20.0))
    with pytest.raises(NoPose, match="more than 1 s apart"):
        robot.at("camera", "map", 15 * S)


def test_a_frame_hung_on_another_parent_begins_anew(robot):
    robot.add_moving("base", "map", 10 * S, shifted(1.0))
    assert robot.at("base", "map", 10 * S)[0, 3] == 1.0
    with pytest.raises(NoPose):
        robot.at("base", "map", 11 * S)


@pytest.mark.parametrize("first", ["transform", "image"])
def test_after_a_jump_back_only_what_is_fixed_is_known(robot, first):
    if first == "image":
        robot.time_jumped_back(2 * S)
    robot.add_moving("base", "odom", 2 * S, shifted(-3.0))
    robot.time_jumped_back(2 * S)
    assert robot.at("camera", "map", 2 * S)[0, 3] == pytest.approx(97.0)
    with pytest.raises(NoPose):
        robot.at("camera", "map", 10 * S)


def test_a_circle_is_told():
    transforms = Transforms(S)
    transforms.add_fixed("a", "b", np.eye(4))
    transforms.add_fixed("b", "a", np.eye(4))
    with pytest.raises(NoPose, match="circle at frame 'a'"):
        transforms.at("a", "map", 0)


def test_a_chain_ends_at_its_root_or_does_not_exist():
    parents = {"camera": "base", "base": "odom", "odom": "map"}
    assert chain_up(parents, "camera") == ["camera", "base", "odom"]
    assert chain_up(parents, "camera", "odom") == ["camera", "base"]
    assert chain_up(parents, "camera", "elsewhere") == []
