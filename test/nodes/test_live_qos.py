# SPDX-License-Identifier: Apache-2.0
"""Who hears whom: every topic with every reliability and durability of the other side."""

from __future__ import annotations

from itertools import product

import pytest
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.nodes.translator_node import TranslatorNode

pytestmark = pytest.mark.timeout(300)

INPUTS = [(Image, "depth/image"), (CameraInfo, "depth/camera_info"), (PoseStamped, "pose")]
LATCHED = "/translator_node/occupancy_grid"
OUTPUTS = [
    (PointCloud2, "latent_blocks"),
    (MarkerArray, "/fusion_node/camera"),
    (MarkerArray, "/translator_node/mesh"),
    (PointCloud2, "/translator_node/tsdf"),
    (PointCloud2, "/translator_node/tsdf_slice"),
    (PointCloud2, "/translator_node/esdf_slice"),
    (PointCloud2, "/translator_node/surface"),
    (OccupancyGrid, LATCHED),
]
OTHER_SIDES = list(product(("RELIABLE", "BEST_EFFORT"), ("VOLATILE", "TRANSIENT_LOCAL")))


def profile(reliability, durability):
    return QoSProfile(depth=5, reliability=ReliabilityPolicy[reliability], durability=DurabilityPolicy[durability])


@pytest.fixture
def graph(live):
    """Both nodes; a list of what the middleware said of each endpoint that the test made."""
    robot = live()
    translator = TranslatorNode()
    robot.add(translator)
    yield robot
    translator.end()
    translator.destroy_node()


def test_a_publisher_of_any_quality_is_heard(graph):
    matched: dict[tuple[str, ...], int] = {}
    for (kind, topic), side in product(INPUTS, OTHER_SIDES):
        key = (topic, *side)
        callbacks = PublisherEventCallbacks(matched=lambda info, key=key: matched.update({key: info.current_count}))
        graph.robot.create_publisher(kind, topic, profile(*side), event_callbacks=callbacks)
    graph.wait(lambda: len(matched) == len(INPUTS) * len(OTHER_SIDES))
    assert set(matched.values()) == {1}


def test_a_subscriber_hears_unless_it_asks_for_what_was_before_it(graph):
    """What is latched can be asked for; on the other topics a new subscriber is sent everything anyway."""
    said: dict[tuple[str, ...], str] = {}
    for (kind, topic), side in product(OUTPUTS, OTHER_SIDES):
        key = (topic, *side)
        callbacks = SubscriptionEventCallbacks(
            matched=lambda info, key=key: said.setdefault(key, "heard"),
            incompatible_qos=lambda info, key=key: said.setdefault(key, "refused"),
        )
        graph.robot.create_subscription(kind, topic, print, profile(*side), event_callbacks=callbacks)
    graph.wait(lambda: len(said) == len(OUTPUTS) * len(OTHER_SIDES))
    refused = {(key[0], key[2]) for key, what in said.items() if what == "refused"}
    assert refused == {(topic, "TRANSIENT_LOCAL") for _, topic in OUTPUTS if topic != LATCHED}
