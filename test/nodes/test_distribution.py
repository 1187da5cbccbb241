# SPDX-License-Identifier: Apache-2.0
"""The tests of this folder run with the ROS that they are asked to run with."""

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest
import rclpy
import sensor_msgs

RCLPY_MAJOR = {"jazzy": 7, "kilted": 9}


def test_ros_is_the_one_of_this_environment():
    try:
        version = importlib.metadata.version("ros-rclpy")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("ROS is not from wheels")
    assert int(version.split(".")[0]) == RCLPY_MAJOR[os.environ.get("ROS_DISTRO", "kilted")]
    assert all(Path(package.__file__).is_relative_to(sys.prefix) for package in (rclpy, sensor_msgs))
