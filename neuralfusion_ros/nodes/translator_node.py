# SPDX-License-Identifier: Apache-2.0
"""translator_node: the stream of latent blocks in; mesh, TSDF and what robots plan with out.

Callbacks only queue; a worker thread keeps a copy of the latent map and translates what changed, as far as somebody
wants to see it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from nav_msgs.msg import OccupancyGrid
from rclpy.event_handler import QoSSubscriptionMatchedInfo, SubscriptionEventCallbacks
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Empty
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.nodes.declared_parameters import read_parameters
from neuralfusion_ros.nodes.diagnostics import Report
from neuralfusion_ros.nodes.latent_copy import LatentCopy
from neuralfusion_ros.nodes.map_storage import stored_file
from neuralfusion_ros.nodes.mapping_node import MappingNode, load_model_for
from neuralfusion_ros.nodes.parameters import TranslatorParameters
from neuralfusion_ros.nodes.qos import BLOCKS_DEPTH, latched, reliable
from neuralfusion_ros.nodes.rehearsal import rehearse
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.run_node import check_arguments, run_node
from neuralfusion_ros.nodes.translation_work import Outputs, TranslationWork

_MESH_DEPTH, _TSDF_DEPTH = 100, 20


class TranslatorNode(MappingNode):
    """The node; what it does with the messages is in TranslationWork."""

    def __init__(self) -> None:
        super().__init__("translator_node", TranslatorParameters)
        self._rejections = Rejections(self.get_logger())
        self.offer({"save_mesh": self._save_mesh})

    def set_up(self) -> None:
        self._options = read_parameters(self, TranslatorParameters)
        self._options.check()
        self._model, self._device = load_model_for(self._options)
        self._copy = LatentCopy(self._model, self._device, self._options.max_map_bytes)
        self.get_logger().info(f"model {self._model.name}, device {self._device}")
        rehearse(self._model, self._device)

    def change(self) -> None:
        self._options = read_parameters(self, TranslatorParameters)
        if self.is_active:
            self._work.use(self._options)

    def go(self) -> None:
        blocks = self.keep(self._subscribe_to_blocks(), self.destroy_subscription)
        outputs = Outputs(
            self._publisher(MarkerArray, "~/mesh", reliable(_MESH_DEPTH), lambda: self._work.mesh_viewer_came()),
            self._publisher(PointCloud2, "~/tsdf", reliable(_TSDF_DEPTH), lambda: self._work.tsdf_viewer_came()),
            self._whole_map_publisher(OccupancyGrid, "occupancy_grid", latched()),
            self._whole_map_publisher(PointCloud2, "esdf_slice", reliable(1)),
            self._whole_map_publisher(PointCloud2, "tsdf_slice", reliable(1)),
            self._whole_map_publisher(PointCloud2, "surface", reliable(1)),
            self.keep(self.create_publisher(Empty, "latent_blocks/resend", reliable(10)), self.destroy_publisher),
            lambda: blocks.get_publisher_count() > 0,
        )
        self._work = TranslationWork(self._copy, outputs, self._options, self._rejections)
        self._work.start()

    def halt(self) -> None:
        self._work.stop()

    def tear_down(self) -> None:
        del self._copy, self._model

    def report(self) -> Report:
        copy = self._copy
        model = {"device": self._device, "model": self._model.name, "model_sha256": self._model.sha256}
        counts = self._rejections.counts
        values = {
            "map_id": "" if copy.map_id is None else copy.map_id,
            "sequence": copy.sequence,
            "in_step": copy.complete and copy.filled,
            "blocks": copy.n_blocks,
            "blocks_refused": copy.blocks_refused,
            "map_bytes": copy.n_bytes,
            "rejected": counts.total(),
            **{f"rejected.{reason}": count for reason, count in sorted(counts.items())},
        }
        if self.is_active:
            values |= self._work.values()
        return Report(self._problem(), is_error=copy.wrong_model, values={**values, **model})

    def _problem(self) -> str:
        topic = self.resolve_topic_name("latent_blocks")
        if self._copy.wrong_model:
            return self._rejections.last
        if self.count_publishers(topic) == 0:
            return f"nobody publishes {topic}" + (" any more" if self._copy.complete else "")
        if self._copy.complete:
            return ""
        return f"waiting for the whole map on {topic}"

    def _whole_map_publisher(self, kind: type[Any], name: str, qos: QoSProfile) -> Publisher:
        return self._publisher(kind, f"~/{name}", qos, lambda: self._work.whole_map_viewer_came(name))

    def _publisher(self, kind: type[Any], topic: str, qos: QoSProfile, viewer_came: Callable[[], None]) -> Publisher:
        return self.keep(self.publisher_for_viewers(kind, topic, qos, viewer_came), self.destroy_publisher)

    def _subscribe_to_blocks(self) -> Subscription:
        def on_matched(info: QoSSubscriptionMatchedInfo) -> None:
            if info.total_count_change > 0:  # the current count stays when one goes and another comes
                self._work.sender_came()

        return self.create_subscription(
            PointCloud2,
            "latent_blocks",
            self._on_blocks,
            reliable(BLOCKS_DEPTH),
            event_callbacks=SubscriptionEventCallbacks(matched=on_matched),
            raw=True,
        )

    def _on_blocks(self, data: bytes) -> None:
        self._work.add_message(data)

    def _save_mesh(self) -> Future[str]:
        return self._work.save_mesh(stored_file(self._options.map_directory, self._options.mesh_name, ".ply"))


def main(args: list[str] | None = None) -> int:
    """Runs the node until a signal ends it. Returns the exit code: 0, or 2 for bad parameters or a missing model."""
    ros_args = check_arguments("translator_node", "Translates a latent map into a mesh and a TSDF.", args)
    return run_node("translator_node", TranslatorNode, ros_args)


if __name__ == "__main__":
    sys.exit(main())
