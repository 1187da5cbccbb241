# SPDX-License-Identifier: Apache-2.0
"""The ROS node of the live benchmark: it is the camera, and it notes when the outputs arrive."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.benchmark.arrivals import Arrival
from neuralfusion_ros.commands.live_camera import LiveCamera
from neuralfusion_ros.commands.watching_node import WatchingNode
from neuralfusion_ros.messages.cdr import CdrReader
from neuralfusion_ros.messages.markers import has_triangles, stamp_of_markers
from neuralfusion_ros.nodes.qos import BLOCKS_DEPTH, reliable

INTEGRATED, BLOCKS, MESH = "integrated", "latent_blocks", "mesh"
_MESH_DEPTH = 100


class LiveWatcher(WatchingNode):
    """Receives while one of its methods waits.

    arrivals: of each output, in the order in which they came. newest_ns: largest stamp of each so far.
    first_triangles_ns: when the first mesh with triangles came, on the clock of the wall. diagnostics: node -> what it
    last said.
    """

    def __init__(self, camera: LiveCamera) -> None:
        super().__init__("live_benchmark")
        self._camera = camera
        self.arrivals: dict[str, list[Arrival]] = {INTEGRATED: [], BLOCKS: [], MESH: []}
        self.newest_ns = dict.fromkeys(self.arrivals, 0)
        self.first_triangles_ns: int | None = None
        self.diagnostics: dict[str, dict[str, str]] = {}

    def subscribe(self) -> None:
        # Raw, because Python would need seconds to make an object of every vertex.
        subscribe, node = self._node.create_subscription, self._node
        self._outputs = [
            subscribe(MarkerArray, "fusion_node/camera", self._on_camera, reliable(10), raw=True),
            subscribe(PointCloud2, "latent_blocks", self._on_blocks, reliable(BLOCKS_DEPTH), raw=True),
            subscribe(MarkerArray, "translator_node/mesh", self._on_mesh, reliable(_MESH_DEPTH), raw=True),
        ]
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=50))
        self._camera.join(node)

    def is_connected(self) -> bool:
        """The nodes hear the camera, and can be heard, each by the other, too."""
        hears = all(output.get_publisher_count() for output in self._outputs)
        return hears and self._camera.is_heard() and self._node.count_subscribers("latent_blocks") > 1

    def send(self, number: int) -> int:
        """Publishes a frame with the present time. Returns its stamp, nanoseconds."""
        stamp_ns = time.time_ns()
        self._camera.publish(number, stamp_ns)
        return stamp_ns

    def _on_camera(self, data: bytes) -> None:
        self._note(INTEGRATED, stamp_of_markers(data))

    def _on_blocks(self, data: bytes) -> None:
        self._note(BLOCKS, CdrReader(data).header()[1])

    def _on_mesh(self, data: bytes) -> None:
        if self.first_triangles_ns is None and has_triangles(data):
            self.first_triangles_ns = time.time_ns()
        self._note(MESH, stamp_of_markers(data))

    def _note(self, output: str, stamp_ns: int) -> None:
        self.arrivals[output].append(Arrival(stamp_ns, time.time_ns()))
        self.newest_ns[output] = max(self.newest_ns[output], stamp_ns)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = {value.key: value.value for value in status.values}
