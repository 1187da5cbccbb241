# SPDX-License-Identifier: Apache-2.0
"""What `neuralfusion view` hears of a running graph. Changes nothing in it, and asks nobody to send more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.commands.graph_names import mapping_nodes, other_nodes, topics_of
from neuralfusion_ros.commands.view_slice import MapSlice
from neuralfusion_ros.commands.watching_node import WatchingNode
from neuralfusion_ros.messages.depth_image import decode_depth
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.latent_blocks import decode_blocks
from neuralfusion_ros.messages.markers import MarkerContent, read_marker_array

_BLOCKS, _MARKERS, _IMAGE = "sensor_msgs/msg/PointCloud2", "visualization_msgs/msg/MarkerArray", "sensor_msgs/msg/Image"
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_ALL = QoSProfile(depth=200)


class ViewedGraph(WatchingNode):
    """Receives in `receive`. The names are without namespace; namespace: of the nodes, None takes the only one.

    up_axis: of the world, 0 to 2. fusion, translator: full names of the nodes. mesh, cameras: markers that have come;
    whoever shows them empties the lists. slice: fed with the blocks. said: full name of a node -> what it last told;
    heard_s: -> when, on the clock that never jumps.
    """

    def __init__(self, fusion: str, translator: str, namespace: str | None, up_axis: int = 2) -> None:
        super().__init__(f"neuralfusion_view_{os.getpid()}")
        self._names, self._namespace = (fusion, translator), namespace
        self.fusion, self.translator = fusion, translator
        self.mesh: list[MarkerContent] = []
        self.cameras: list[MarkerContent] = []
        self.slice = MapSlice(up_axis)
        self.said: dict[str, dict[str, str]] = {}
        self.heard_s: dict[str, float] = {}
        self._image: bytes | None = None
        self._subscribed: set[tuple[str, str]] = set()

    def subscribe(self) -> None:
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=50))

    def look(self) -> list[str]:
        """Subscribes to what the nodes have by now. Returns the names of the missing ones. Raises CommandError."""
        nodes = other_nodes(self._node)
        self.fusion, self.translator = mapping_nodes(*self._names, nodes, self._namespace)
        published = self._node.get_publisher_names_and_types_by_node
        heard = self._node.get_subscriber_names_and_types_by_node
        mesh, camera = partial(self._on_markers, self.mesh), partial(self._on_markers, self.cameras)
        self._subscribe(topics_of(published, self.translator), _MARKERS, MarkerArray, mesh, _ALL)
        self._subscribe(topics_of(published, self.fusion), _MARKERS, MarkerArray, camera, _ALL)
        self._subscribe(topics_of(published, self.fusion), _BLOCKS, PointCloud2, self._on_blocks, _ALL)
        self._subscribe(topics_of(heard, self.fusion), _IMAGE, Image, self._on_image, _NEWEST)
        return [name for name in (self.fusion, self.translator) if name not in nodes]

    def take_depth(self) -> npt.NDArray[np.float32] | None:
        """The newest depth image in metres, (H, W), 0 = nothing was measured; None if none has come since."""
        data, self._image = self._image, None
        try:
            return None if data is None else decode_depth(deserialize_message(data, Image))
        except BadMessage:
            return None

    def _subscribe(
        self,
        topics: list[tuple[str, list[str]]],
        kind: str,
        message: type[Any],
        callback: Callable[[bytes], None],
        qos: QoSProfile,
    ) -> None:
        """Raw, because Python would need seconds to make an object of every vertex."""
        for topic, kinds in topics:
            if kind in kinds and (topic, kind) not in self._subscribed:
                self._subscribed.add((topic, kind))
                self._node.create_subscription(message, topic, callback, qos, raw=True)

    def _on_markers(self, waiting: list[MarkerContent], data: bytes) -> None:
        try:
            waiting += read_marker_array(data)
        except BadMessage:
            return

    def _on_blocks(self, data: bytes) -> None:
        try:
            self.slice.apply(decode_blocks(data))
        except BadMessage:
            return

    def _on_image(self, data: bytes) -> None:
        self._image = data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            # Our nodes give their full name as hardware_id.
            self.said[status.hardware_id] = {value.key: value.value for value in status.values}
            self.heard_s[status.hardware_id] = time.monotonic()
