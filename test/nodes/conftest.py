# SPDX-License-Identifier: Apache-2.0
"""A small room as a recording, a model, and a ROS client that waits for conditions."""

from __future__ import annotations

import time

import numpy as np
import pytest
import rclpy
import torch
from rclpy.executors import SingleThreadedExecutor

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model
from neuralfusion_ros.nodes.fusion_node import FusionNode

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
STEP_NS = 100_000_000
START_NS = 100_000_000_000

# Half the size of the room, whose centre is the origin.
ROOM_M = np.array([2.0, 1.5, 1.2])


def room_depth(T_world_camera):
    """(120, 160) exact depth of the walls of the room, from inside."""
    rays = CAMERA.rays().numpy().astype(np.float64) @ T_world_camera[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (np.sign(rays) * ROOM_M - T_world_camera[:3, 3]) / rays
    return np.nanmin(distances, axis=-1).astype(np.float32)


def room_pose(number):
    """A camera that looks along x and turns to the left, a little with every frame."""
    yaw = 0.1 * number
    forward, left, up = (np.cos(yaw), np.sin(yaw), 0), (-np.sin(yaw), np.cos(yaw), 0), (0, 0, 1)
    T = np.eye(4)
    T[:3, :3] = np.array([-np.array(left), -np.array(up), forward]).T
    T[:3, 3] = (-0.5, 0.05 * number, 0.0)
    return T


def room_frame(number):
    pose = room_pose(number % 16)
    return Frame(START_NS + number * STEP_NS, room_depth(pose), pose)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """The path of a model with the weights that training starts from."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_model(LatentModel(Architecture()), path, {})
    return path


@pytest.fixture(scope="session")
def camera():
    return CAMERA


@pytest.fixture(scope="session")
def frame_of():
    """The frame with a number."""
    return room_frame


@pytest.fixture
def wait_until():
    """Waits for a condition, for code that works in another thread."""

    def wait(condition, limit_s=20.0):
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, "it did not happen in time"
            time.sleep(0.002)

    return wait


class LiveNode:
    """A fusion node in this process, as run_node would run it, and a node that plays the robot around it."""

    def __init__(self, *ros_args, **parameters):
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        rclpy.init(args=["--ros-args", *ros_args, *words])
        self._executor = SingleThreadedExecutor()
        self.node = FusionNode()
        self.robot = rclpy.create_node("robot", use_global_arguments=False)
        self.failed: list[int] = []
        self._executor.add_node(self.robot)
        self.add(self.node)

    def add(self, node):
        """Begins the work of another node in this process."""
        self._executor.add_node(node)
        node.begin(self.failed.append)
        assert not self.failed

    def values(self):
        return self.node.report().values

    def wait(self, condition, limit_s=60.0):
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, f"it did not happen in time; the node says {self.node.report()}"
            self._executor.spin_once(timeout_sec=0.02)

    def publisher(self, kind, topic, qos=10):
        """A publisher that the fusion node has found."""
        publisher = self.robot.create_publisher(kind, topic, qos)
        self.wait(lambda: publisher.get_subscription_count() > 0)
        return publisher

    def close(self):
        self.node.end()
        self._executor.shutdown()
        for node in (self.node, self.robot):
            node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def live(untrained):
    """Makes a running fusion node; one at a time."""
    nodes = []

    def make(*ros_args, **parameters):
        common = {"model": untrained, "device": "cpu", "voxel_size": 0.1, "statistics_period_s": 0.0}
        nodes.append(LiveNode(*ros_args, **common, **parameters))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


class QuietLog:
    """Stands for the logger of a node."""

    def __init__(self):
        self.lines = []

    def warning(self, text):
        self.lines.append(text)

    info = error = warning


@pytest.fixture
def log():
    return QuietLog()


class FakePublisher:
    """Keeps what is published. receivers: that it says it has; acknowledged: what it says about them."""

    def __init__(self):
        self.messages, self.receivers, self.acknowledged = [], 1, True

    def publish(self, message):
        self.messages.append(message)

    def get_subscription_count(self):
        return self.receivers

    def wait_for_all_acked(self, timeout):
        return self.acknowledged


@pytest.fixture
def publisher():
    return FakePublisher()


@pytest.fixture
def viewers():
    """The publisher of the cameras' markers."""
    return FakePublisher()
