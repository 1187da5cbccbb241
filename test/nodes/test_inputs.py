# SPDX-License-Identifier: Apache-2.0
"""Which publishers a subscription hears, with real ones of every kind, and what is told about the others."""

from __future__ import annotations

import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Empty

from neuralfusion_ros.nodes.camera_input import is_rectified
from neuralfusion_ros.nodes.inputs import INPUT_QOS, Topic, subscribe
from neuralfusion_ros.nodes.parameters import FusionParameters, parameters_of
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.transform_listener import tf_qos


@pytest.fixture
def spin():
    """A node, and a function that lets it work until a condition holds."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    executor = SingleThreadedExecutor(context=context)
    node = rclpy.create_node("inputs", namespace="robot", context=context)
    executor.add_node(node)

    def wait(condition, limit_s=30.0):
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, "it did not happen in time"
            executor.spin_once(timeout_sec=0.02)

    yield node, wait
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def offered(reliability, durability=DurabilityPolicy.VOLATILE):
    return QoSProfile(depth=10, reliability=reliability, durability=durability)


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE])
@pytest.mark.parametrize("input_qos", INPUT_QOS)
def test_best_effort_is_heard_with_sensor_data_and_reliable_always(spin, log, input_qos, reliability):
    node, wait = spin
    rejections = Rejections(log)
    came: list[Empty] = []
    subscribe(node, Topic(Empty, "depth/image", came.append, INPUT_QOS[input_qos]), rejections)
    publisher = node.create_publisher(Empty, "depth/image", offered(reliability))
    if input_qos == "sensor_data" or reliability == ReliabilityPolicy.RELIABLE:

        def heard():
            publisher.publish(Empty())
            return bool(came)

        wait(heard)
        assert not rejections.counts and not log.lines
    else:
        wait(lambda: rejections.counts)
        publisher.publish(Empty())
        assert rejections.counts == {"incompatible_qos": 1}
        (line,) = log.lines
        assert "/robot/depth/image: A publisher cannot be heard, its reliability does not match" in line
        assert "set input_qos to sensor_data" in line
        assert rejections.last_of("/robot/depth/image")


@pytest.mark.parametrize("input_qos", ["sensor_data", "reliable"])
def test_a_burst_is_heard_by_a_node_that_is_busy(spin, log, input_qos):
    node, wait = spin
    came: list[Empty] = []
    subscribe(node, Topic(Empty, "depth/image", came.append, INPUT_QOS[input_qos]), Rejections(log))
    publisher = node.create_publisher(Empty, "depth/image", QoSProfile(depth=50))
    wait(lambda: publisher.get_subscription_count() == 1)
    n_sent = 0

    def heard():
        nonlocal n_sent
        n_sent += 1
        publisher.publish(Empty())
        return bool(came)

    wait(heard)  # both sides know of each other
    wait(lambda: len(came) == n_sent)
    for _ in range(40):
        publisher.publish(Empty())
    wait(lambda: len(came) == n_sent + 40)


def test_fixed_transforms_from_before_are_heard_and_a_volatile_publisher_is_told(spin, log):
    node, wait = spin
    rejections = Rejections(log)
    came: list[Empty] = []
    latched = offered(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_publisher(Empty, "tf_static", latched).publish(Empty())
    subscribe(node, Topic(Empty, "tf_static", came.append, tf_qos(is_static=True)), rejections)
    wait(lambda: came)
    node.create_publisher(Empty, "tf_static", offered(ReliabilityPolicy.RELIABLE))
    wait(lambda: rejections.counts)
    assert "its durability does not match: it is volatile" in log.lines[0]


def test_every_choice_of_the_parameter_has_its_profile():
    (choices,) = (parameter.choices for parameter in parameters_of(FusionParameters) if parameter.name == "input_qos")
    assert set(INPUT_QOS) == set(choices)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/camera/depth/image_rect_raw", True),
        ("/zed/depth/rect/image", True),
        ("/depth/rectified", True),
        ("/camera/depth/image_raw", False),
        ("/direct/correction/image", False),
    ],
)
def test_the_name_of_the_topic_says_whether_it_is_rectified_unless_the_user_does(topic, expected):
    assert is_rectified("auto", topic) is expected
    assert is_rectified("yes", topic) and not is_rectified("no", topic)
