# SPDX-License-Identifier: Apache-2.0
"""A running fusion node that gets its poses from /tf, from odometry with a mounting, or from both."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_odometry
from neuralfusion_ros.messages.tf_type import tf_message_type
from neuralfusion_ros.messages.transforms import encode_transforms
from neuralfusion_ros.nodes.transform_listener import tf_qos

pytestmark = pytest.mark.timeout(300)

MOUNTING = "0.1 0 0.2 -0.5 0.5 -0.5 0.5"
T_BODY_CAMERA = pose_matrix((0.1, 0, 0.2), (-0.5, 0.5, -0.5, 0.5))


def body_pose(frame):
    """Where the body is when the camera on it is where the frame was taken."""
    return frame.T_world_camera @ np.linalg.inv(T_BODY_CAMERA)


def neighbours(frame):
    """Poses of the body 50 ms before and after the image, 2 m to either side of where it is in between."""
    for sign in (-1, 1):
        T = body_pose(frame)
        T[0, 3] += 2 * sign
        yield frame.stamp_ns + sign * 50_000_000, T


def send_image(robot, frame, camera):
    """Sends an image and what says how to read it, and waits until something became of it."""
    image, info = robot.publisher(Image, "depth/image"), robot.publisher(CameraInfo, "depth/camera_info")
    info.publish(encode_camera(camera, frame.stamp_ns, "camera"))
    robot.wait(lambda: robot.node._work.cameras[0].has_camera_info)
    image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))
    robot.wait(lambda: robot.values()["integrated"] + robot.values()["rejected"] > 0)


def map_of(robot):
    """The blocks of the map."""
    grid = robot.node._work._mapper.grid
    return {tuple(key) for key in grid.keys.tolist()}


@pytest.fixture
def expected(live, frame_of, camera):
    """The map of the frame when its pose is given as it is."""
    from geometry_msgs.msg import PoseStamped

    from neuralfusion_ros.messages.poses import encode_pose

    robot = live()
    frame = frame_of(3)
    robot.publisher(PoseStamped, "pose").publish(encode_pose(frame.T_world_camera, frame.stamp_ns, "odom"))
    send_image(robot, frame, camera)
    blocks = map_of(robot)
    robot.close()
    assert len(blocks) > 20
    return blocks


def publish_tf_static(robot):
    publisher = robot.publisher(tf_message_type(), "/tf_static", tf_qos(is_static=True))
    publisher.publish(encode_transforms([("base_link", "camera", 0, T_BODY_CAMERA)]))


def test_poses_from_tf_alone(live, frame_of, camera, expected):
    robot, frame = live(pose_source="tf"), frame_of(3)
    publish_tf_static(robot)
    moving = robot.publisher(tf_message_type(), "/tf", tf_qos(is_static=False))
    for stamp_ns, T in neighbours(frame):
        moving.publish(encode_transforms([("odom", "base_link", stamp_ns, T)]))
    send_image(robot, frame, camera)
    assert robot.values()["integrated"] == 1
    assert map_of(robot) == expected


@pytest.mark.parametrize("mounting", [f"'{MOUNTING}'", "tf"])
def test_odometry_with_a_mounting(live, frame_of, camera, expected, mounting):
    robot, frame = live(pose_source="odom", camera_mounting=mounting), frame_of(3)
    if mounting == "tf":
        publish_tf_static(robot)
    odometry = robot.publisher(Odometry, "odom")
    for stamp_ns, T in neighbours(frame):
        odometry.publish(encode_odometry(T, stamp_ns, "odom", "base_link"))
    send_image(robot, frame, camera)
    assert robot.values()["integrated"] == 1
    assert map_of(robot) == expected


@pytest.mark.parametrize(("frame_id", "used"), [("map", False), ("", True), ("/odom", True)])
def test_poses_in_another_frame_are_refused_by_name(live, frame_of, camera, frame_id, used):
    robot, frame = live(pose_source="odom", max_wait_for_pose_s=0.2), frame_of(3)
    odometry = robot.publisher(Odometry, "odom")
    odometry.publish(encode_odometry(frame.T_world_camera, frame.stamp_ns, frame_id, "camera"))
    if not used:
        robot.wait(lambda: robot.values().get("rejected.pose_frame") == 1)
        assert "in the frame 'map' but the map is in 'odom'; set global_frame to 'map'" in robot.node._rejections.last
    send_image(robot, frame, camera)
    robot.wait(lambda: robot.values()["integrated"] == used)


def test_without_the_transform_the_frame_is_refused_by_name(live, frame_of, camera):
    robot = live(pose_source="tf", max_wait_for_pose_s=0.2)
    publish_tf_static(robot)
    send_image(robot, frame_of(3), camera)
    assert robot.values()["rejected.no_pose"] == 1
    image, numbers = robot.publisher(Image, "depth/image"), count(4)

    def told():
        """A camera that goes on sending."""
        frame = frame_of(next(numbers))
        image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))
        return "no transform leads from 'camera' to 'odom'; known frames: " in robot.node.report().problem

    robot.wait(told)
