# SPDX-License-Identifier: Apache-2.0
"""The demo's own ROS node: it looks whether markers and TSDF arrive, and reads what the nodes tell about themselves."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.commands.watching_node import WatchingNode
from neuralfusion_ros.messages.markers import read_marker_array

_RELIABLE = QoSProfile(depth=20)


class DemoWatcher(WatchingNode):
    """Receives while one of its methods waits.

    diagnostics: node -> what it last said. marker_messages, markers: those with triangles. tsdf_messages, tsdf_points:
    those with points. save_mesh: client of the translator's service; its answers come while `wait` receives.
    """

    def __init__(self) -> None:
        super().__init__("demo_watcher")
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.marker_messages = self.markers = self.tsdf_messages = self.tsdf_points = 0

    def subscribe(self) -> None:
        # Raw, because Python would need seconds to make an object of every vertex.
        self._node.create_subscription(MarkerArray, "translator_node/mesh", self._on_markers, _RELIABLE, raw=True)
        self._node.create_subscription(PointCloud2, "translator_node/tsdf", self._on_tsdf, _RELIABLE)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _RELIABLE)
        self.save_mesh = self._node.create_client(Trigger, "translator_node/save_mesh")

    def _on_markers(self, message: bytes) -> None:
        markers = sum(len(marker.points) > 0 for marker in read_marker_array(message))
        self.marker_messages += markers > 0
        self.markers += markers

    def _on_tsdf(self, message: PointCloud2) -> None:
        if message.width * message.height:
            self.tsdf_messages += 1
            self.tsdf_points += message.width * message.height

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = {value.key: value.value for value in status.values}
