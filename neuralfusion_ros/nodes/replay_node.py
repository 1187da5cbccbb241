# SPDX-License-Identifier: Apache-2.0
"""replay_node: publishes a recording as if a camera were running."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from threading import Event, Thread

from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.datasets.bag_writer import CAMERA_FRAME
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_pose
from neuralfusion_ros.messages.stamps import NS_PER_S, ns_to_stamp
from neuralfusion_ros.messages.tf_type import NoTfType, tf_message_type
from neuralfusion_ros.messages.transforms import encode_transforms
from neuralfusion_ros.nodes.declared_parameters import declare_parameters, read_parameters, warn_of_unknown
from neuralfusion_ros.nodes.parameters import ReplayParameters
from neuralfusion_ros.nodes.qos import reliable
from neuralfusion_ros.nodes.ros_parameter import ParameterError
from neuralfusion_ros.nodes.run_node import BAD_INPUT, BROKEN, OK, check_arguments, run_node
from neuralfusion_ros.nodes.transform_listener import TF, tf_qos

_LOOK_S = 0.05
_CLOCK_PERIOD_S = 0.02
_SETTLED_S, _SETTLE_LIMIT_S = 0.5, 3.0
_ACKNOWLEDGE_S = 10.0
# Best-effort subscribers acknowledge nothing; what they have not read yet is gone with this process.
_LINGER_S = 0.5

Shown = Callable[[int], AbstractContextManager[Callable[[], object]]]
"""Given the number of frames: the context in which they are played, with what to call after each."""


def _unshown(frames: int) -> AbstractContextManager[Callable[[], object]]:
    return nullcontext(lambda: None)


class ReplayNode(Node):
    """Reads a recording and publishes it in its own thread, at its own speed times `rate`."""

    def __init__(self, parameters: ReplayParameters | None = None, shown: Shown = _unshown) -> None:
        overrides = [Parameter(name, value=value) for name, value in asdict(parameters).items()] if parameters else []
        super().__init__("replay_node", parameter_overrides=overrides)
        declare_parameters(self, ReplayParameters)
        warn_of_unknown(self)
        self._options = read_parameters(self, ReplayParameters)
        if not self._options.input:
            raise ParameterError("parameter input is not set; it names the recording to play")
        self._recording = open_recording(self._options.input)
        self._image = self.create_publisher(Image, "depth/image", reliable(10))
        self._info = self.create_publisher(CameraInfo, "depth/camera_info", reliable(50))
        self._pose = self.create_publisher(PoseStamped, "pose", reliable(50))
        self._topics = (self._image, self._info, self._pose)
        self._tf = self._make_tf()
        self._clock_topic = self.create_publisher(ClockMessage, "/clock", 10) if self._options.clock else None
        self._shown = shown
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="replay")
        self.published = 0

    def _make_tf(self) -> Publisher | None:
        try:
            return self.create_publisher(tf_message_type(), TF, tf_qos(is_static=False))
        except NoTfType as error:
            self.get_logger().info(f"{TF} is not published: {error}")
            return None

    def begin(self, finish: Callable[[int], None]) -> None:
        """Starts to play; ends the process after the last frame."""
        self._finish = finish
        self._thread.start()

    def end(self) -> None:
        """Stops playing."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._play()
            self._finish(OK)
        except Exception as error:
            self.get_logger().error(" ".join(str(error).split()))
            self._finish(BAD_INPUT if isinstance(error, RecordingError) else BROKEN)

    def _play(self) -> None:
        self._wait_for_subscriber()
        while not self._stopping.is_set():
            self._play_once()
            if not self._options.loop:
                break
        if not self._stopping.is_set():
            self._wait_until_received()
        self.get_logger().info(self._summary())

    def _play_once(self) -> None:
        begin_s, first_ns = time.monotonic(), None
        with self._shown(len(self._recording)) as one_more:
            for frame in self._recording:
                first_ns = frame.stamp_ns if first_ns is None else first_ns
                due_s = begin_s + (frame.stamp_ns - first_ns) / NS_PER_S / self._options.rate
                self._wait_until(due_s, frame.stamp_ns)
                if self._stopping.is_set():
                    return
                self._publish(frame)
                one_more()

    def _publish(self, frame: Frame) -> None:
        """The image last, so that it finds its pose and its camera."""
        stamp_ns = frame.stamp_ns
        self._publish_clock(stamp_ns)
        global_frame = self._options.global_frame
        self._pose.publish(encode_pose(frame.T_world_camera, stamp_ns, global_frame))
        if self._tf:
            self._tf.publish(encode_transforms([(global_frame, CAMERA_FRAME, stamp_ns, frame.T_world_camera)]))
        self._info.publish(encode_camera(self._recording.camera, stamp_ns, CAMERA_FRAME))
        self._image.publish(encode_depth(frame.depth_m, stamp_ns, CAMERA_FRAME))
        self.published += 1

    def _wait_until(self, due_s: float, stamp_ns: int) -> None:
        """Waits for the moment of a frame, while the clock runs on."""
        while (left_s := due_s - time.monotonic()) > 0 and not self._stopping.is_set():
            self._publish_clock(stamp_ns - round(left_s * self._options.rate * NS_PER_S))
            self._stopping.wait(min(left_s, _CLOCK_PERIOD_S) if self._clock_topic else left_s)

    def _publish_clock(self, now_ns: int) -> None:
        if self._clock_topic:
            self._clock_topic.publish(ClockMessage(clock=ns_to_stamp(now_ns)))

    def _wait_for_subscriber(self) -> None:
        limit_s = self._options.wait_for_subscriber_s
        if limit_s > 0:
            self.get_logger().info(f"waiting up to {limit_s:g} s for a subscriber of {self._image.topic_name}")
        if not self._wait_for(lambda: self._image.get_subscription_count() > 0, limit_s) and limit_s > 0:
            self.get_logger().warning(f"nobody listens to {self._image.topic_name} after {limit_s:g} s; playing anyway")
            return
        # Not all subscriptions are discovered at once, and whoever only looks at the images may be the first.
        self._wait_for(self._is_settled, _SETTLE_LIMIT_S)

    def _is_settled(self) -> bool:
        """Every topic has a subscriber, and for a while nobody has come or gone."""
        heard = all(publisher.get_subscription_count() for publisher in self._topics)
        return heard and not self._wait_for(self._subscribers_change(), _SETTLED_S)

    def _subscribers_change(self) -> Callable[[], bool]:
        """A condition that becomes true when there are more or fewer subscribers than now."""

        def count() -> list[int]:
            return [publisher.get_subscription_count() for publisher in self._topics]

        before = count()
        return lambda: count() != before

    def _wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        end_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() >= end_s or self._stopping.is_set():
                return False
            self._stopping.wait(_LOOK_S)
        return True

    def _wait_until_received(self) -> None:
        for publisher in self._topics:
            if not self._wait_for(partial(publisher.wait_for_all_acked, Duration(nanoseconds=0)), _ACKNOWLEDGE_S):
                self.get_logger().warning(f"not all subscribers have received {publisher.topic_name}")
        self._stopping.wait(_LINGER_S)

    def _summary(self) -> str:
        rejected = ", ".join(f"{count} {reason}" for reason, count in self._recording.rejected.most_common())
        return f"played {self.published} frames of {self._recording.name}; left out: {rejected or 'none'}"


def run_replay(parameters: ReplayParameters, shown: Shown) -> int:
    """Plays a recording, in this process. Returns the exit code: 0, 2 when the recording cannot be played.

    shown: makes each pass through it visible.
    """
    return run_node("replay", lambda: ReplayNode(parameters, shown), [])


def main(args: list[str] | None = None) -> int:
    """Plays the recording of parameter `input`. Returns the exit code: 0, 2 when it cannot be played."""
    ros_args = check_arguments("replay_node", "Publishes a recording on ROS topics.", args)
    return run_node("replay_node", ReplayNode, ros_args)


if __name__ == "__main__":
    sys.exit(main())
