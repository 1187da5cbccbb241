# SPDX-License-Identifier: Apache-2.0
"""fusion_node: depth images and poses in, the latent map out as a stream of blocks.

Callbacks only decode and queue; the map is made by a worker thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Empty
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros.mapping.map_file import MAP_SUFFIX
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.nodes.block_sender import BlockSender, model_hash
from neuralfusion_ros.nodes.camera_display import CameraDisplay
from neuralfusion_ros.nodes.camera_input import CameraInput, is_rectified, topic_of
from neuralfusion_ros.nodes.declared_parameters import declare_mountings, read_parameters, warn_of_unknown
from neuralfusion_ros.nodes.diagnostics import Report
from neuralfusion_ros.nodes.fusion_report import FusionReport
from neuralfusion_ros.nodes.fusion_work import FusionWork
from neuralfusion_ros.nodes.inputs import INPUT_QOS, Topic, subscribe
from neuralfusion_ros.nodes.map_storage import stored_file
from neuralfusion_ros.nodes.mapping_node import MappingNode, load_model_for
from neuralfusion_ros.nodes.parameters import FusionParameters
from neuralfusion_ros.nodes.pose_inputs import PoseInputs
from neuralfusion_ros.nodes.qos import BLOCKS_DEPTH, reliable
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.run_node import check_arguments, run_node
from neuralfusion_ros.nodes.services import done
from neuralfusion_ros.nodes.throttled_log import ThrottledLog


class FusionNode(MappingNode):
    """The node; what it does with the messages is in FusionWork."""

    def __init__(self) -> None:
        super().__init__("fusion_node", FusionParameters)
        self._log = ThrottledLog(self.get_logger())
        self._rejections = Rejections(self.get_logger())
        self._paused = False
        self._last_line = ""
        self.offer(
            {
                "reset": lambda: self._work.reset(),
                "pause": lambda: self._pause(True),
                "resume": lambda: self._pause(False),
                "save_map": lambda: self._with_map_file(self._work.save_map),
                "load_map": lambda: self._with_map_file(self._work.load_map),
            }
        )

    def set_up(self) -> None:
        self._options = read_parameters(self, FusionParameters)
        self._options.check()
        settings = self._options.map_settings()
        self._model, self._device = load_model_for(self._options)
        cameras = self._make_cameras()
        self._publisher = self.create_publisher(PointCloud2, "latent_blocks", reliable(BLOCKS_DEPTH))
        sender = BlockSender(self._publisher, self._options.global_frame, model_hash(self._model.sha256))
        self._camera_publisher = self.publisher_for_viewers(
            MarkerArray, "~/camera", reliable(1), lambda: self._work.camera_viewer_came()
        )
        display = CameraDisplay(self._camera_publisher, self._options.global_frame, self._options.camera_rate_hz)
        mapper = Mapper(self._model, settings, self._device)
        self._work = FusionWork(mapper, sender, display, cameras, self._options, self._rejections, self._log)
        self._report = FusionReport(self._work, self._rejections, self.resolve_topic_name)
        kernels = "compiled kernels" if mapper.compiled else "torch"
        self.get_logger().info(f"model {self._model.name}, device {self._device}, {kernels}, {settings}")
        if self._device.type == "cpu" and not mapper.compiled:
            self.get_logger().warning("numba is not installed: a frame takes three times as long")
        mapper.warm_up()

    def change(self) -> None:
        self._options = read_parameters(self, FusionParameters)
        self._work.use(self._options)

    def go(self) -> None:
        self._report.begin()
        self._paused = False
        self._subscribe()
        if self._options.statistics_period_s > 0:
            period_s = self._options.statistics_period_s
            timer = self.create_timer(period_s, self._log_statistics, clock=self.steady_clock)
            self.keep(timer, self.destroy_timer)
        self._work.start()

    def halt(self) -> None:
        self._work.stop()
        self.get_logger().info(self._report.line())

    def tear_down(self) -> None:
        for publisher in (self._publisher, self._camera_publisher):
            self.destroy_publisher(publisher)
        del self._work, self._report, self._model, self._poses

    def report(self) -> Report:
        problem = "" if self._paused else self._report.problem() or self._work.emptiness()
        model = {"device": self._device, "model": self._model.name, "model_sha256": self._model.sha256}
        return Report(problem, values={"paused": self._paused, **self._report.values(), **model})

    def _make_cameras(self) -> list[CameraInput]:
        """The inputs; they find the work, which is made after them, when something comes."""

        def wake() -> None:
            self._work.wake()

        options, qos = self._options, INPUT_QOS[self._options.input_qos]
        names = options.camera_names()
        mountings = declare_mountings(self, names, options.camera_mounting) or {"": options.camera_mounting}
        warn_of_unknown(self, mountings=True)
        self._poses = PoseInputs(options, mountings, qos, self._rejections, wake)
        return [self._make_camera(name, wake) for name in mountings]

    def _make_camera(self, name: str, wake: Callable[[], None]) -> CameraInput:
        topic = self.resolve_topic_name(topic_of(name, "depth/image"))
        rectified = is_rectified(self._options.image_rectified, topic)
        return CameraInput(name, self._poses.sources[name], self._options, self._rejections, wake, rectified)

    def _subscribe(self) -> None:
        qos = INPUT_QOS[self._options.input_qos]
        topics = [*self._poses.topics, Topic(Empty, "latent_blocks/resend", self._on_resend, reliable(10))]
        for camera in self._work.cameras:
            topics.append(Topic(Image, camera.image_topic, partial(self._on_image, camera), qos))
            topics.append(Topic(CameraInfo, camera.info_topic, camera.set_camera_info, qos))
        for topic in topics:
            self.keep(subscribe(self, topic, self._rejections), self.destroy_subscription)

    def _on_image(self, camera: CameraInput, image: Image) -> None:
        camera.newest_image_s = time.monotonic()
        if not self._paused:
            camera.add_image(image)

    def _on_resend(self, _: Empty) -> None:
        self._work.resend()

    def _pause(self, paused: bool) -> Future[str]:
        self._paused = paused
        if not paused:
            self._report.begin()
            self._work.start_lap()
        return done("Paused: images are ignored." if paused else "Images are used again.")

    def _with_map_file(self, job: Callable[[Path], Future[str]]) -> Future[str]:
        return job(stored_file(self._options.map_directory, self._options.map_name, MAP_SUFFIX))

    def _log_statistics(self) -> None:
        """Once more only if there is news."""
        line = self._report.line()
        if line != self._last_line:
            self.get_logger().info(line)
        self._last_line = line


def main(args: list[str] | None = None) -> int:
    """Runs the node until a signal ends it. Returns the exit code: 0, or 2 for bad parameters or a missing model."""
    ros_args = check_arguments("fusion_node", "Builds a latent map from depth images and poses.", args)
    return run_node("fusion_node", FusionNode, ros_args)


if __name__ == "__main__":
    sys.exit(main())
