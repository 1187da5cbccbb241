# SPDX-License-Identifier: Apache-2.0
"""Occupancy grid, distance field and surface: byte for byte what rclpy writes, and every value in its place."""

from __future__ import annotations

import array

import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField

from neuralfusion_ros.mapping.planning_grids import EsdfSlice, PlaneGrid
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN
from neuralfusion_ros.messages.esdf_cloud import ESDF_POINT, esdf_cloud_bytes
from neuralfusion_ros.messages.occupancy_grid import occupancy_grid_bytes
from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.messages.stamps import ns_to_stamp
from neuralfusion_ros.messages.surface_cloud import SURFACE_POINT, surface_cloud_bytes

STAMP_NS = 5_000_000_007
ROS_VALUES = {UNKNOWN: -1, FREE_SPACE: 0, OCCUPIED: 100}


def grid_of(rows, columns):
    states = np.random.default_rng(rows).integers(0, 3, size=(rows, columns)).astype(np.uint8)
    return PlaneGrid(states, (-1.25, 0.3), 0.05)


@pytest.mark.parametrize("frame_id", ["", "map", "world"])
@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 1), (3, 5)])
def test_the_bytes_of_a_grid_are_those_of_rclpy(assert_like_rclpy, frame_id, rows, columns):
    grid = grid_of(rows, columns)
    message = OccupancyGrid()
    message.header.frame_id, message.header.stamp = frame_id, ns_to_stamp(STAMP_NS)
    message.info.map_load_time = ns_to_stamp(STAMP_NS)
    message.info.resolution, message.info.width, message.info.height = 0.05, columns, rows
    message.info.origin.position.x, message.info.origin.position.y = -1.25, 0.3
    message.info.origin.orientation.w = 1.0
    message.data = array.array("b", [ROS_VALUES[state] for state in grid.states.reshape(-1).tolist()])
    assert_like_rclpy(lambda: occupancy_grid_bytes(frame_id, STAMP_NS, grid), message)


def test_the_next_cell_of_a_grid_is_the_next_along_x():
    states = np.full((2, 3), UNKNOWN, np.uint8)
    states[0, 1], states[1, 0] = FREE_SPACE, OCCUPIED
    message = deserialize_message(occupancy_grid_bytes("map", 0, PlaneGrid(states, (0.0, 0.0), 0.1)), OccupancyGrid)
    assert (message.info.width, message.info.height) == (3, 2)
    assert list(message.data) == [-1, 0, -1, 100, -1, -1]


def cloud_message(names, points):
    message = PointCloud2(height=1, width=len(points), is_dense=True)
    message.header.frame_id, message.header.stamp = "map", ns_to_stamp(STAMP_NS)
    message.fields = [
        PointField(name=name, offset=4 * number, datatype=PointField.FLOAT32, count=1)
        for number, name in enumerate(names)
    ]
    message.point_step, message.row_step = 4 * len(names), 4 * len(names) * len(points)
    message.data = array.array("B", np.asarray(points, "<f4").tobytes())
    return message


@pytest.mark.parametrize("count", [0, 4])
def test_the_bytes_of_a_slice_are_those_of_rclpy(assert_like_rclpy, count):
    points = np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)
    esdf = EsdfSlice(points[:, :3], points[:, 3])
    message = cloud_message(("x", "y", "z", "distance"), points)
    assert_like_rclpy(lambda: esdf_cloud_bytes("map", STAMP_NS, esdf), message)


@pytest.mark.parametrize("count", [0, 4])
def test_the_bytes_of_a_surface_are_those_of_rclpy(assert_like_rclpy, count):
    points = np.random.default_rng(count).normal(size=(count, 6)).astype(np.float32)
    message = cloud_message(("x", "y", "z", "normal_x", "normal_y", "normal_z"), points)
    assert_like_rclpy(lambda: surface_cloud_bytes("map", STAMP_NS, points[:, :3], points[:, 3:]), message)


def test_the_clouds_are_read_back():
    points = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    _, _, surface = read_point_cloud(surface_cloud_bytes("map", 0, points[:, :3], points[:, 3:]))
    assert surface.dtype == SURFACE_POINT and surface.tolist() == [tuple(point) for point in points.tolist()]
    _, _, esdf = read_point_cloud(esdf_cloud_bytes("map", 0, EsdfSlice(points[:, :3], points[:, 3])))
    assert esdf.dtype == ESDF_POINT and esdf.tolist() == [tuple(point) for point in points[:, :4].tolist()]
