# SPDX-License-Identifier: Apache-2.0
"""Several cameras in one map: each with topics, camera info, queue and mounting of its own."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import position_and_quaternion
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_odometry

pytestmark = pytest.mark.timeout(300)


def mounting_of(T):
    position, quaternion = position_and_quaternion(T)
    return f"'{' '.join(f'{value:.9f}' for value in (*position, *quaternion))}'"


def blocks_of(robot):
    return {tuple(key) for key in robot.node._work._mapper.grid.keys.tolist()}


class Cameras:
    """The publishers of a robot with two cameras, one of them of another size."""

    def __init__(self, robot, camera):
        small = PinholeCamera(80, 60, 70.0, 70.0, 39.5, 29.5)
        self.robot, self.of = robot, {"front": (camera, 1), "rear": (small, 2)}
        self.image = {name: robot.publisher(Image, f"{name}/depth/image") for name in self.of}
        self.odometry = robot.publisher(Odometry, "odom")
        for name, (its, _) in self.of.items():
            robot.publisher(CameraInfo, f"{name}/depth/camera_info").publish(encode_camera(its, 0, name))
        robot.wait(lambda: all(camera.has_camera_info for camera in robot.node._work.cameras))

    def send(self, name, frame, stamp_ns):
        """depth/image of a camera; the small one sees every second pixel."""
        step = self.of[name][1]
        depth_m = frame.depth_m[step // 2 :: step, step // 2 :: step]
        self.image[name].publish(encode_depth(depth_m, stamp_ns, name))


def test_two_cameras_on_one_body_make_one_map(live, frame_of, camera):
    front, rear = frame_of(1), frame_of(9)
    mountings = {"front": front.T_world_camera, "rear": rear.T_world_camera}
    parameters = {f"{name}.camera_mounting": mounting_of(T) for name, T in mountings.items()}
    robot = live(pose_source="odom", cameras="[front,rear]", **parameters)
    cameras, stamp_ns = Cameras(robot, camera), front.stamp_ns
    cameras.odometry.publish(encode_odometry(np.eye(4), stamp_ns, "odom", "base_link"))
    cameras.send("front", front, stamp_ns)
    robot.wait(lambda: robot.values()["front.integrated"] == 1)
    seen_in_front = blocks_of(robot)
    cameras.send("rear", rear, stamp_ns)
    robot.wait(lambda: robot.values()["rear.integrated"] == 1)
    assert robot.values()["integrated"] == 2 and robot.values()["rejected"] == 0
    assert len(blocks_of(robot) - seen_in_front) > 10, "the other camera looks elsewhere"


def test_a_camera_that_fails_is_named_and_does_not_stop_the_other(live, frame_of, camera):
    robot = live(pose_source="odom", cameras="[front,rear]", max_wait_for_pose_s=30.0, max_queue_length=1)
    cameras, frame = Cameras(robot, camera), frame_of(1)
    cameras.odometry.publish(encode_odometry(frame.T_world_camera, frame.stamp_ns, "odom", "base_link"))
    cameras.send("rear", frame, frame.stamp_ns + 50 * 10**9)  # its pose has not come
    robot.wait(lambda: robot.values()["rear.received"] == 1)
    cameras.send("front", frame, frame.stamp_ns)
    robot.wait(lambda: robot.values()["front.integrated"] == 1)
    numbers = count(2)

    def told():
        """Both go on sending; only the front camera has poses."""
        stamp_ns = frame.stamp_ns + next(numbers) * 10**8
        cameras.odometry.publish(encode_odometry(frame.T_world_camera, stamp_ns, "odom", "base_link"))
        cameras.send("front", frame, stamp_ns)
        cameras.send("rear", frame, stamp_ns + 60 * 10**9)
        return "no frame of rear could be used, no_pose: " in robot.node.report().problem

    robot.wait(told)
    assert robot.values()["rear.integrated"] == 0 and robot.values()["rejected.no_pose"] > 0
