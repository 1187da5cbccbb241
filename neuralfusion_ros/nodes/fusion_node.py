# SPDX-License-Identifier: Apache-2.0
"""fusion_node: depth images and poses in, the latent map out as a stream of blocks.

Callbacks only decode and queue; the map is made by a worker thread.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Empty

from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.poses import Matrix
from neuralfusion_ros.messages.depth_image import decode_depth
from neuralfusion_ros.messages.poses import decode_odometry, decode_pose
from neuralfusion_ros.messages.stamps import stamp_to_ns
from neuralfusion_ros.nodes.block_sender import BlockSender, model_hash
from neuralfusion_ros.nodes.diagnostics import Report
from neuralfusion_ros.nodes.fusion_report import FusionReport
from neuralfusion_ros.nodes.fusion_work import FusionWork
from neuralfusion_ros.nodes.mapping_node import BLOCKS_DEPTH, MappingNode, load_model_for, reliable
from neuralfusion_ros.nodes.parameters import FusionParameters, read_parameters
from neuralfusion_ros.nodes.pose_source import TfPoses, TopicPoses
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.run_node import check_arguments, run_node
from neuralfusion_ros.nodes.services import create_trigger, done
from neuralfusion_ros.nodes.throttled_log import ThrottledLog

_INPUT_QOS = {"sensor_data": qos_profile_sensor_data, "default": QoSProfile(depth=10), "reliable": reliable(50)}


class FusionNode(MappingNode):
    """The node; what it does with the messages is in FusionWork."""

    def __init__(self) -> None:
        super().__init__("fusion_node", FusionParameters)
        self._log = ThrottledLog(self.get_logger())
        self._rejections = Rejections(self.get_logger())
        self._paused = False
        self._last_line = ""

    def set_up(self) -> None:
        self._options = read_parameters(self, FusionParameters)
        settings = self._options.map_settings()
        self._model, self._device = load_model_for(self._options)
        self._poses = self._make_poses()
        self._publisher = self.create_publisher(PointCloud2, "latent_blocks", reliable(BLOCKS_DEPTH))
        sender = BlockSender(self._publisher, self._options.global_frame, model_hash(self._model.sha256))
        mapper = Mapper(self._model, settings, self._device)
        self._work = FusionWork(mapper, sender, self._poses, self._options, self._rejections)
        topics = (self.resolve_topic_name("depth/image"), self.resolve_topic_name("depth/camera_info"))
        self._report = FusionReport(self._work, self._rejections, *topics)
        kernels = "compiled kernels" if mapper.compiled else "torch"
        self.get_logger().info(f"model {self._model.name}, device {self._device}, {kernels}, {settings}")
        if self._device.type == "cpu" and not mapper.compiled:
            self.get_logger().warning("numba is not installed: a frame takes three times as long")
        mapper.warm_up()

    def go(self) -> None:
        self._report.begin()
        self._paused = False
        self._subscribe()
        jobs = {"reset": self._work.reset, "pause": lambda: self._pause(True), "resume": lambda: self._pause(False)}
        for name, job in jobs.items():
            self.keep(create_trigger(self, f"~/{name}", job), self.destroy_service)
        if self._options.statistics_period_s > 0:
            period_s = self._options.statistics_period_s
            timer = self.create_timer(period_s, self._log_statistics, clock=self.steady_clock)
            self.keep(timer, self.destroy_timer)
        self._work.start()

    def halt(self) -> None:
        self._work.stop()
        self.get_logger().info(self._report.line())

    def tear_down(self) -> None:
        self.destroy_publisher(self._publisher)
        if isinstance(self._poses, TfPoses):
            self._poses.close()
        del self._work, self._report, self._model, self._poses

    def report(self) -> Report:
        problem = "" if self._paused else self._report.problem()
        model = {"device": self._device, "model": self._model.name, "model_sha256": self._model.sha256}
        return Report(problem, values={"paused": self._paused, **self._report.values(), **model})

    def _make_poses(self) -> TopicPoses | TfPoses:
        options = self._options
        if options.pose_source == "tf":
            return TfPoses(self, options.global_frame, options.pose_buffer_s)
        return TopicPoses(options.pose_buffer_s, options.max_pose_gap_s)

    def _subscribe(self) -> None:
        qos = _INPUT_QOS[self._options.input_qos]
        inputs = [(Image, "depth/image", self._on_image, qos), (CameraInfo, "depth/camera_info", self._on_info, qos)]
        if self._options.pose_source == "pose":
            inputs.append((PoseStamped, "pose", self._on_pose, qos))
        if self._options.pose_source == "odom":
            inputs.append((Odometry, "odom", self._on_odometry, qos))
        inputs.append((Empty, "latent_blocks/resend", self._on_resend, reliable(10)))
        for kind, topic, callback, topic_qos in inputs:
            self.keep(self.create_subscription(kind, topic, callback, topic_qos), self.destroy_subscription)

    def _on_image(self, image: Image) -> None:
        self._report.image_came()
        if self._paused:
            return
        self._work.received += 1
        with self._rejections.gate():
            depth_m = decode_depth(image, self._options.depth_scale)
            self._work.add_frame(stamp_to_ns(image.header.stamp), image.header.frame_id, depth_m)

    def _on_info(self, info: CameraInfo) -> None:
        self._work.set_camera_info(info)

    def _on_pose(self, message: PoseStamped) -> None:
        self._check_frame(message.header.frame_id)
        with self._rejections.gate():
            self._add_pose(decode_pose(message))

    def _on_odometry(self, message: Odometry) -> None:
        self._check_frame(message.header.frame_id)
        with self._rejections.gate():
            self._add_pose(decode_odometry(message))

    def _on_resend(self, _: Empty) -> None:
        self._work.resend()

    def _add_pose(self, stamped: tuple[int, Matrix]) -> None:
        assert isinstance(self._poses, TopicPoses)
        self._poses.add(*stamped)
        self._work.wake()

    def _check_frame(self, frame_id: str) -> None:
        if frame_id not in ("", self._options.global_frame):
            text = f"poses are in the frame '{frame_id}', the map is in global_frame '{self._options.global_frame}'"
            self._log.warn("frame", text)

    def _pause(self, paused: bool) -> Future[str]:
        self._paused = paused
        if not paused:
            self._report.begin()
        return done("Paused: images are ignored." if paused else "Images are used again.")

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
