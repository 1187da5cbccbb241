# SPDX-License-Identifier: Apache-2.0
"""A real translator_node whose map is sent to it: grid, distances and surface for those who listen, only then."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial import cKDTree
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Empty

from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.mesh_points import surface_points
from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.mapping.planning_grids import esdf_slice, occupancy_grid
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.messages.esdf_cloud import esdf_cloud_bytes
from neuralfusion_ros.messages.occupancy_grid import occupancy_grid_bytes
from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.nodes.block_sender import BlockSender, model_hash
from neuralfusion_ros.nodes.qos import BLOCKS_DEPTH, latched, reliable

LIMIT_S = 90.0
STAMP_NS = 7_000_000_009
SLAB_M, ESDF_HEIGHT_M, REACH_M = (-0.4, 0.9), 0.2, 1.0
TOPICS = ("occupancy_grid", "esdf_slice", "tsdf_slice", "surface")

pytestmark = pytest.mark.timeout(300)


class Robot:
    """Sends a map to the translator and plans with what comes back. It receives while it waits."""

    def __init__(self, model, frame_of, camera):
        self.mapper = Mapper(model, MapSettings(voxel_size_m=0.08), "cpu")
        self._frame_of, self._camera = frame_of, camera
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self.node = rclpy.create_node("robot", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.values = {}
        self.received: dict[str, list[bytes]] = {topic: [] for topic in TOPICS}
        blocks = self.node.create_publisher(PointCloud2, "latent_blocks", reliable(BLOCKS_DEPTH))
        self.sender = BlockSender(blocks, "odom", model_hash(model.sha256))
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.node.create_subscription(Empty, "latent_blocks/resend", self._on_resend, reliable(10))

    def see(self, *numbers):
        for number in numbers:
            frame = self._frame_of(number)
            self.mapper.integrate(frame.depth_m, frame.T_world_camera, self._camera)
            self.sender.add(self.mapper.take_changed(), self.mapper.take_removed(), STAMP_NS)
        self._send()

    def translator_has_all(self):
        return int(self.values.get("sequence", -1)) == self.sender.sequence - 1

    def listen(self, topic, qos):
        kind = OccupancyGrid if topic == "occupancy_grid" else PointCloud2
        name = f"translator_node/{topic}"
        return self.node.create_subscription(kind, name, self.received[topic].append, qos, raw=True)

    def expected(self):
        """The map, translated in this process."""
        surface = SurfaceMap(self.mapper.grid, self.mapper.model.translator)
        surface.mark_changed(self.mapper.grid.keys)
        surface.translate()
        surface.mesh_changed_chunks()
        return surface

    def wait(self, condition):
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end_s, f"it did not happen in time; the node says {self.values}"
            self._executor.spin_once(timeout_sec=0.05)

    def published(self):
        return [int(self.values.get(f"published.{topic}", -1)) for topic in TOPICS]

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _on_diagnostics(self, message):
        self.values = {value.key: value.value for value in message.status[0].values}

    def _on_resend(self, _):
        self.sender.resend(self.mapper.grid)
        self._send()

    def _send(self):
        while self.sender.has_work:
            self.sender.send(self.mapper.grid, max_messages=8)


@pytest.fixture
def robot(untrained, frame_of, camera, ros_env, root, tmp_path):
    parameters = {"model": untrained, "device": "cpu", "esdf_height_m": ESDF_HEIGHT_M, "esdf_max_distance_m": REACH_M}
    parameters |= {"grid_min_height_m": SLAB_M[0], "grid_max_height_m": SLAB_M[1]}
    words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    command = [sys.executable, "-m", "neuralfusion_ros.nodes.translator_node", "--ros-args", *words]
    robot = Robot(load_model(untrained), frame_of, camera)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=ros_env, stdout=log, stderr=log)
    try:
        robot.wait(lambda: robot.values.get("state") == "active")
        yield robot
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
        robot.close()


def same_cloud(data, expected):
    return np.array_equal(read_point_cloud(bytes(data))[2], read_point_cloud(expected)[2])


def test_who_subscribes_gets_the_map_and_nobody_else_costs_anything(robot):
    robot.see(0, 1, 2)
    robot.wait(robot.translator_has_all)
    said = robot.values
    robot.wait(lambda: robot.values is not said)  # diagnostics from after the last message
    assert robot.published() == [0] * len(TOPICS)
    assert int(robot.values["waiting_blocks"]) == robot.mapper.grid.n_blocks, "nothing is translated"

    robot.listen("occupancy_grid", latched())
    grid = occupancy_grid(robot.expected(), *SLAB_M)
    message = occupancy_grid_bytes("odom", STAMP_NS, grid)
    robot.wait(lambda: message in robot.received["occupancy_grid"])
    robot.wait(lambda: robot.published()[0] > 0)
    assert robot.published()[1:] == [0] * (len(TOPICS) - 1), "only what is subscribed is made"

    robot.listen("esdf_slice", QoSProfile(depth=5))
    robot.listen("surface", QoSProfile(depth=5))
    expected = robot.expected()
    esdf = esdf_cloud_bytes("odom", STAMP_NS, esdf_slice(expected, ESDF_HEIGHT_M, REACH_M))
    robot.wait(lambda: any(same_cloud(data, esdf) for data in robot.received["esdf_slice"]))
    robot.wait(lambda: robot.received["surface"])
    frame_id, stamp_ns, points = read_point_cloud(bytes(robot.received["surface"][-1]))
    positions_m, normals = surface_points(expected.chunk_meshes().values())
    assert (frame_id, stamp_ns) == ("odom", STAMP_NS) and len(points) == len(positions_m) > 500
    # Chunks come in the order in which they were first meshed; blocks translated in other company differ by rounding.
    distance_m, number = cKDTree(positions_m).query(np.stack([points[axis] for axis in "xyz"], axis=-1))
    assert distance_m.max() < 1e-5
    found = np.stack([points[f"normal_{axis}"] for axis in "xyz"], axis=-1)
    assert np.median(np.abs(found - normals[number]).max(axis=1)) < 1e-3


def test_a_late_subscriber_gets_the_latest_grid_although_nothing_changes_any_more(robot):
    first = robot.listen("occupancy_grid", latched())
    robot.see(0, 1)
    message = occupancy_grid_bytes("odom", STAMP_NS, occupancy_grid(robot.expected(), *SLAB_M))
    robot.wait(lambda: message in robot.received["occupancy_grid"])
    robot.node.destroy_subscription(first)
    robot.see(9)
    robot.wait(robot.translator_has_all)
    del robot.received["occupancy_grid"][:]
    newer = occupancy_grid_bytes("odom", STAMP_NS, occupancy_grid(robot.expected(), *SLAB_M))
    assert newer != message
    robot.listen("occupancy_grid", QoSProfile(depth=1, durability=DurabilityPolicy.VOLATILE))
    robot.wait(lambda: newer in robot.received["occupancy_grid"])
