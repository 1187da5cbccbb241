# SPDX-License-Identifier: Apache-2.0
"""Watches a running ROS graph for `neuralfusion doctor`. Changes nothing in it."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.commands.doctor_snapshot import IMAGE, INFO, ODOMETRY, POSE, Endpoint, Input, Link, Said, Snapshot
from neuralfusion_ros.commands.graph_names import joined, mapping_nodes, other_nodes, topics_of
from neuralfusion_ros.commands.watching_node import WatchingNode
from neuralfusion_ros.mapping.transforms import frame_name
from neuralfusion_ros.messages.cdr import CdrReader
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.tf_type import tf_message_type
from neuralfusion_ros.messages.transforms import decode_transforms
from neuralfusion_ros.nodes.transform_listener import TF, TF_STATIC

_INPUTS = {IMAGE: Image, INFO: CameraInfo, POSE: PoseStamped, ODOMETRY: Odometry}
_CLOUDS = {"sensor_msgs/msg/PointCloud2"}
_OUTPUTS = _CLOUDS | {"visualization_msgs/msg/MarkerArray", "nav_msgs/msg/OccupancyGrid"}
_PARAMETERS = ["use_sim_time", "pose_source", "global_frame", "device", "max_pose_gap_s"]
_FOREVER_NS = 2**62
_KEPT_STAMPS = 1000

# What every publisher can be heard with.
_ANY_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class GraphWatcher(WatchingNode):
    """Receives in `receive`; `snapshot` tells what is known by then. The names are without namespace.

    namespace: of both nodes; None takes the only one that there is.
    """

    def __init__(self, fusion: str, translator: str, namespace: str | None) -> None:
        super().__init__(f"neuralfusion_doctor_{os.getpid()}")
        self._fusion_name, self._translator_name, self._namespace = fusion, translator, namespace
        self._said: dict[str, Said] = {}
        self._stamps: dict[tuple[str, str], deque[int]] = {}
        self._frames: dict[str, str] = {}
        self._tf_links: dict[Link, deque[int]] | None = None
        self._clock_ticks = 0
        self._parameters: Any = None

    def subscribe(self) -> None:
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _ANY_QOS)
        self._node.create_subscription(Clock, "/clock", self._on_clock, _ANY_QOS, raw=True)
        self._begin_s = time.monotonic()

    def snapshot(self) -> Snapshot:
        """What is known now. From now on also listens to the inputs that it finds. Raises CommandError."""
        nodes = other_nodes(self._node)
        fusion, translator = mapping_nodes(self._fusion_name, self._translator_name, nodes, self._namespace)
        parameters = self._parameters_of(fusion) if fusion in nodes else {}
        if parameters.get("pose_source") == "tf":
            self._listen_to_tf()
        topics = self._node.get_topic_names_and_types()
        return Snapshot(
            fusion=fusion,
            translator=translator,
            seconds=time.monotonic() - self._begin_s,
            nodes=tuple(nodes),
            said={name: self._said[name] for name in (fusion, translator) if name in self._said},
            parameters=parameters,
            inputs=self._inputs_of(fusion),
            image_topics=tuple(t for t, kinds in topics if IMAGE in kinds and self._node.count_publishers(t)),
            tf_links=None if self._tf_links is None else {link: tuple(ns) for link, ns in self._tf_links.items()},
            clock_publishers=self._node.count_publishers("/clock"),
            clock_ticks=self._clock_ticks,
            block_receivers=tuple(self._receivers(self._published_by(fusion, _CLOUDS))),
            listeners={topic: self._node.count_subscribers(topic) for topic in self._published_by(translator)},
            has_gpu=_has_gpu(),
            domain=_domain(),
        )

    def _parameters_of(self, fusion: str) -> dict[str, bool | float | str]:
        """Those that the node has told; it is asked once."""
        if self._parameters is None:
            client = self._node.create_client(GetParameters, f"{fusion}/get_parameters")
            if client.service_is_ready():
                self._parameters = client.call_async(GetParameters.Request(names=_PARAMETERS))
            else:
                self._node.destroy_client(client)
        if self._parameters is None or not self._parameters.done():
            return {}
        values = map(parameter_value_to_python, self._parameters.result().values)
        return {name: value for name, value in zip(_PARAMETERS, values, strict=False) if value is not None}

    def _inputs_of(self, fusion: str) -> dict[str, Input]:
        topics = topics_of(self._node.get_subscriber_names_and_types_by_node, fusion)
        found: dict[str, Input] = {}
        for topic, kinds in topics:
            for kind in set(kinds) & set(_INPUTS):
                # Of several topics of a type, the one that is named for depth.
                if kind not in found or "depth" in topic:
                    found[kind] = self._input(topic, kind, fusion)
        return found

    def _input(self, topic: str, kind: str, fusion: str) -> Input:
        if (topic, kind) not in self._stamps:
            self._stamps[topic, kind] = deque(maxlen=_KEPT_STAMPS)
            on_message = partial(self._on_input, topic, self._stamps[topic, kind])
            self._node.create_subscription(_INPUTS[kind], topic, on_message, _ANY_QOS, raw=True)
        publishers = tuple(map(_endpoint, self._node.get_publishers_info_by_topic(topic)))
        subscriptions = map(_endpoint, self._node.get_subscriptions_info_by_topic(topic))
        own = tuple(endpoint for endpoint in subscriptions if endpoint.node == fusion)
        return Input(topic, kind, publishers, own, tuple(self._stamps[topic, kind]), self._frames.get(topic, ""))

    def _published_by(self, node: str, types: set[str] = _OUTPUTS) -> list[str]:
        """Topics with which a mapping node shows its work."""
        topics = topics_of(self._node.get_publisher_names_and_types_by_node, node)
        return [topic for topic, kinds in topics if types & set(kinds)]

    def _receivers(self, topics: Iterable[str]) -> list[str]:
        infos = [info for topic in topics for info in self._node.get_subscriptions_info_by_topic(topic)]
        return sorted({_endpoint(info).node for info in infos})

    def _listen_to_tf(self) -> None:
        if self._tf_links is not None:
            return
        self._tf_links = {}
        for topic, qos in ((TF, _ANY_QOS), (TF_STATIC, _LATCHED)):
            on_tf = partial(self._on_tf, self._tf_links, topic == TF)
            self._node.create_subscription(tf_message_type(), topic, on_tf, qos, raw=True)

    def _on_tf(self, links: dict[Link, deque[int]], is_moving: bool, data: bytes) -> None:
        try:
            for found in decode_transforms(data):
                link = frame_name(found.parent), frame_name(found.child)
                stamps = links.setdefault(link, deque(maxlen=_KEPT_STAMPS))
                if is_moving:
                    stamps.append(found.stamp_ns)
        except BadMessage:
            return

    def _on_clock(self, _: bytes) -> None:
        self._clock_ticks += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            # Our nodes give their full name as hardware_id.
            before = self._said.get(status.hardware_id)
            problem = "" if status.level == DiagnosticStatus.OK else status.message
            first, messages = (before.first, before.messages) if before else (values, 0)
            self._said[status.hardware_id] = Said(first, values, messages + 1, problem)

    def _on_input(self, topic: str, stamps: deque[int], data: bytes) -> None:
        # Only the header: decoding images here would take the time away from the node.
        try:
            frame_id, stamp_ns = CdrReader(data).header()
        except BadMessage:
            return
        self._frames[topic] = frame_id
        stamps.append(stamp_ns)


def _endpoint(info: Any) -> Endpoint:
    qos = info.qos_profile
    deadline_ns = qos.deadline.nanoseconds
    return Endpoint(
        joined(info.node_namespace, info.node_name),
        info.topic_type,
        qos.reliability.name.lower(),
        qos.durability.name.lower(),
        deadline_ns / 1e9 if 0 < deadline_ns < _FOREVER_NS else math.inf,
    )


def _has_gpu() -> bool:
    """Whether the driver of NVIDIA knows a GPU of this machine."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def _domain() -> str:
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    return os.environ.get("ROS_DOMAIN_ID", "0") + (f", {reach}" if reach else "")
