# SPDX-License-Identifier: Apache-2.0
"""docs/topics.md names the topics and services of the running nodes, all of them and with their types."""

from __future__ import annotations

import re

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from neuralfusion_ros.nodes.translator_node import TranslatorNode

# What every node, or every lifecycle node, has.
COMMON = re.compile(r"/rosout|/parameter_events|/clock|.*/transition_event")
TRIGGER = "std_srvs/srv/Trigger"


def written(root, name):
    """{(way, full name, type)} of a node in the tables of the page."""
    found = set()
    for line in (root / "docs" / "topics.md").read_text().splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if cells[0] != name:
            continue
        way, topic, kind = cells[1:4] if len(cells) == 5 else ("service", cells[1], TRIGGER)
        full = topic.replace("~", f"/{name}") if topic.startswith("~") else f"/{topic.lstrip('/')}"
        found.add((way, full, kind))
    return found


def running(node):
    """The same of a node that runs."""
    ways = {
        "in": node.get_subscriber_names_and_types_by_node,
        "out": node.get_publisher_names_and_types_by_node,
        "service": node.get_service_names_and_types_by_node,
    }
    found = set()
    for way, ask in ways.items():
        for name, kinds in ask(node.get_name(), node.get_namespace()):
            if not COMMON.fullmatch(name) and (way != "service" or TRIGGER in kinds):
                found |= {(way, name, kind) for kind in kinds}
    return found


def as_written(found, name, usual):
    """The same with the usual name of the node."""
    return {(way, topic.replace(f"/{name}/", f"/{usual}/"), kind) for way, topic, kind in found}


# Names that no other test uses: what is known of a node that ended may not be forgotten yet.


def test_names_of_the_fusion_node(root, live):
    with_poses = live("-r", "__node:=first_node", pose_source="pose")
    pages = written(root, "fusion_node")
    with_poses.wait(lambda: len(running(with_poses.node)) >= 11)
    seen = as_written(running(with_poses.node), "first_node", "fusion_node")
    assert ("in", "/pose", "geometry_msgs/msg/PoseStamped") in seen
    with_poses.close()
    with_odometry = live("-r", "__node:=other_node", pose_source="odom", camera_mounting="tf")
    with_odometry.wait(lambda: ("in", "/tf_static", "tf2_msgs/msg/TFMessage") in running(with_odometry.node))
    assert seen | as_written(running(with_odometry.node), "other_node", "fusion_node") == pages


@pytest.fixture
def translator(untrained):
    """An active translator_node in this process."""
    rclpy.init(args=["--ros-args", "-r", "__node:=third_node", "-p", f"model:={untrained}", "-p", "device:=cpu"])
    executor, node = SingleThreadedExecutor(), TranslatorNode()
    failed: list[int] = []
    executor.add_node(node)
    node.begin(failed.append)
    assert not failed
    yield node
    node.end()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


def test_names_of_the_translator_node(root, translator, wait_until):
    pages = written(root, "translator_node")
    wait_until(lambda: len(running(translator)) >= len(pages))
    assert as_written(running(translator), "third_node", "translator_node") == pages
