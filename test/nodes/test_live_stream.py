# SPDX-License-Identifier: Apache-2.0
"""Both nodes over the real middleware, and between them a relay that loses messages."""

from __future__ import annotations

import random

import pytest
import torch
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.mapping.block_index import pack_keys
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.markers import read_marker_array, stamp_of_markers
from neuralfusion_ros.messages.poses import encode_pose
from neuralfusion_ros.nodes.qos import reliable
from neuralfusion_ros.nodes.translator_node import TranslatorNode

pytestmark = pytest.mark.timeout(300)

FRAMES = 16
LOST_SHARE = 0.1


class Relay:
    """Passes the stream of blocks on to the translator, but for what is lost or comes later than the next one."""

    def __init__(self, robot):
        self.lost = self.swapped = 0
        self.loses_all = False
        self._random, self._late = random.Random(1), None
        self._node = robot.robot
        self._publisher = self._node.create_publisher(PointCloud2, "latent_blocks", QoSProfile(depth=200))
        self._node.create_subscription(PointCloud2, "fused_blocks", self._pass_on, QoSProfile(depth=200), raw=True)

    def come_again(self):
        """As a sender that is started anew: the translator has to find it first."""
        self._node.destroy_publisher(self._publisher)
        self._publisher = self._node.create_publisher(PointCloud2, "latent_blocks", QoSProfile(depth=200))
        self.loses_all = False

    def _pass_on(self, data):
        if self.loses_all or self._random.random() < LOST_SHARE:
            self.lost += 1
        elif self._late is None and self._random.random() < LOST_SHARE:
            self._late = data
        else:
            self._publisher.publish(data)
            if self._late is not None:
                self.swapped += 1
                self._publisher.publish(self._late)
                self._late = None


@pytest.fixture
def translator(live):
    """The fusion node at work, the relay, and a translator behind it."""
    robot = live("-r", "fusion_node:latent_blocks:=fused_blocks", publish_rate_hz=20.0, mesh_rate_hz=-1.0)
    relay, node = Relay(robot), TranslatorNode()
    robot.add(node)
    yield robot, relay, node
    node.end()


def content(grid):
    order = pack_keys(grid.keys).argsort()
    return grid.keys[order], grid.values[order]


def in_step(robot, node):
    ours, theirs = robot.values(), node.report().values
    return theirs["in_step"] and ours["map_id"] == theirs["map_id"] and not ours["blocks_to_send"] and same(robot, node)


def same(robot, node):
    fused, copied = content(robot.node._work._mapper.grid), content(node._copy.surface.latent)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(fused, copied, strict=True))


class Camera:
    """Sends frames to the fusion node, one after the other."""

    def __init__(self, robot, camera, frame_of):
        self._robot, self._camera, self._frame_of, self._sent = robot, camera, frame_of, 0
        self._image, self._info = (
            robot.publisher(Image, "depth/image"),
            robot.publisher(CameraInfo, "depth/camera_info"),
        )
        self._pose = robot.publisher(PoseStamped, "pose")

    def send(self, count):
        for _ in range(count):
            frame = self._frame_of(self._sent)
            self._pose.publish(encode_pose(frame.T_world_camera, frame.stamp_ns, "odom"))
            self._info.publish(encode_camera(self._camera, frame.stamp_ns, "camera"))
            self._image.publish(encode_depth(frame.depth_m, frame.stamp_ns, "camera"))
            self._sent += 1
            self._robot.wait(lambda: self._robot.values()["integrated"] == self._sent)


def test_a_stream_that_loses_messages_ends_in_identical_maps(translator, frame_of, camera):
    robot, relay, node = translator
    eye = Camera(robot, camera, frame_of)
    eye.send(FRAMES)
    robot.wait(lambda: node._copy.surface is not None and in_step(robot, node))
    assert relay.lost > 0 and relay.swapped > 0, "the relay was kind"
    assert node.report().values["resends"] > 0
    assert robot.values()["blocks"] > 30

    # The very last message of a map is lost, and no frame comes after it.
    resends = node.report().values["resends"]
    relay.loses_all, lost = True, relay.lost
    eye.send(1)
    robot.wait(lambda: relay.lost > lost and not robot.values()["blocks_to_send"])
    relay.loses_all = False
    robot.wait(lambda: in_step(robot, node))
    assert node.report().values["resends"] > resends


def test_a_sender_that_spoke_before_it_was_heard_is_asked_for_its_map(translator, frame_of, camera):
    robot, relay, node = translator
    eye = Camera(robot, camera, frame_of)
    eye.send(2)
    robot.wait(lambda: node._copy.surface is not None and in_step(robot, node))
    relay.loses_all = True
    eye.send(2)
    sender = robot.node._work.sender
    robot.wait(lambda: not sender.has_work and not sender._echoes_left)
    assert not in_step(robot, node)
    relay.come_again()
    robot.wait(lambda: in_step(robot, node))


def test_a_viewer_that_takes_the_place_of_another_gets_the_whole_mesh(live, frame_of, camera):
    robot = live("-p", "mesh_rate_hz:=20.0", publish_rate_hz=20.0)
    node = TranslatorNode()
    robot.add(node)

    class Viewer:
        def __init__(self):
            self.n_corners: dict[int, int] = {}
            self.stamp_ns = 0
            self.subscription = robot.robot.create_subscription(
                MarkerArray, "/translator_node/mesh", self._show, reliable(100), raw=True
            )

        def _show(self, data):
            self.stamp_ns = stamp_of_markers(data)
            self.n_corners |= {
                marker.id: len(marker.points) for marker in read_marker_array(data) if len(marker.points)
            }

        def has(self, n_corners):
            return sorted(self.n_corners.values()) == n_corners

    first = Viewer()
    Camera(robot, camera, frame_of).send(2)
    # The mesh bears the stamp of the last image once all of that is in it; before, nothing else would tell.
    robot.wait(lambda: first.stamp_ns == frame_of(1).stamp_ns)
    assert node._copy.surface
    meshes = node._copy.surface.chunk_meshes().values()
    n_corners = sorted(3 * len(mesh.triangles) for mesh in meshes if len(mesh.triangles))
    robot.wait(lambda: first.has(n_corners))
    robot.robot.destroy_subscription(first.subscription)
    second = Viewer()
    robot.wait(lambda: second.has(n_corners))
    node.end()
