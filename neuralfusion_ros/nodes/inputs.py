# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that say so when a publisher cannot be heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.subscription import Subscription

from neuralfusion_ros.nodes.qos import reliable
from neuralfusion_ros.nodes.rejections import Rejections

# Deep, for what comes in a burst: the node's own queues count what they drop, the middleware says nothing.
_DEPTH = 50

# By the value of parameter input_qos. Best effort, as sensor_data is, hears reliable publishers too.
INPUT_QOS = {
    "sensor_data": QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT),
    "default": QoSProfile(depth=10),
    "reliable": reliable(_DEPTH),
}

_HINTS = {
    "RELIABILITY": "it is best effort; set input_qos to sensor_data",
    "DURABILITY": "it is volatile, but what was published before is wanted too",
}


@dataclass(frozen=True)
class Topic:
    """Something to subscribe to. raw: the callback gets the bytes."""

    kind: type[Any]
    name: str
    callback: Callable[[Any], None]
    qos: QoSProfile
    raw: bool = False


def subscribe(node: Node, topic: Topic, rejections: Rejections) -> Subscription:
    """A subscription. A publisher whose quality of service does not match is counted, with one line."""
    full_name = node.resolve_topic_name(topic.name)

    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        hint = _HINTS.get(policy, "see `ros2 topic info -v`")
        text = f"A publisher cannot be heard, its {policy.lower()} does not match: {hint}."
        rejections.reject("incompatible_qos", text, full_name)

    def make(events: SubscriptionEventCallbacks | None) -> Subscription:
        return node.create_subscription(
            topic.kind, topic.name, topic.callback, topic.qos, event_callbacks=events, raw=topic.raw
        )

    try:
        return make(SubscriptionEventCallbacks(incompatible_qos=incompatible))
    except UnsupportedEventTypeError:  # not every middleware tells
        return make(None)
