# SPDX-License-Identifier: Apache-2.0
"""One depth camera: its images that wait, its camera info, its poses. Callbacks put in, the worker takes out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.mapping.block_grid import OutOfReach, check_reach
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import Matrix, NoPose
from neuralfusion_ros.mapping.rectification import rectify
from neuralfusion_ros.messages.camera_info import decode_camera, decode_distortion
from neuralfusion_ros.messages.depth_image import decode_depth
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import NS_PER_S, stamp_to_ns
from neuralfusion_ros.nodes.bounded_queue import BoundedQueue
from neuralfusion_ros.nodes.jump_gate import JumpGate
from neuralfusion_ros.nodes.parameters import FusionParameters
from neuralfusion_ros.nodes.pose_source import JUMP_BACK_NS, PoseSource
from neuralfusion_ros.nodes.rejections import Rejections


class _NotYet(BadMessage):
    """Something that a frame needs is missing, but may still come."""


@dataclass(eq=False)
class DepthFrame:
    """A decoded image that waits. lap: see JumpGate. restarts: how often time had begun again when it came.

    missing: what the worker last found missing for it.
    """

    stamp_ns: int
    frame_id: str
    depth_m: npt.NDArray[np.float32]
    arrived_s: float
    lap: int
    restarts: int
    missing: BadMessage | None = None


class ReadyFrame(NamedTuple):
    """All that the mapper needs of a frame. restarts: how often time had begun again when it came."""

    stamp_ns: int
    restarts: int
    depth_m: npt.NDArray[np.float32]
    camera: PinholeCamera
    T_world_camera: Matrix


class CameraInput:
    """name: empty for a single camera. image_topic, info_topic: where it sends. received, integrated: its images.

    newest_image_s, newest_s: when the newest one came and when one was last integrated, on the clock that never jumps.
    rectified: its images are, see messages/camera_info. wake: called when there may be something to take.
    restarts: how often time has begun again. on_restart: told by the first camera that notices; it calls `restart` of
    all of them.
    """

    def __init__(
        self,
        name: str,
        poses: PoseSource,
        parameters: FusionParameters,
        rejections: Rejections,
        wake: Callable[[], None],
        rectified: bool = False,
    ) -> None:
        self.name, self._poses, self._rejections, self._wake = name, poses, rejections, wake
        self.image_topic, self.info_topic = topic_of(name, "depth/image"), topic_of(name, "depth/camera_info")
        self._options, self._rectified = parameters, rectified
        self._jump_gate = JumpGate(parameters.max_pose_jump_m, parameters.max_pose_jump_rad)
        self.queue: BoundedQueue[DepthFrame] = BoundedQueue(parameters.max_queue_length)
        self.received = self.integrated = 0
        self.newest_image_s: float | None = None
        self.newest_s: float | None = None
        self._camera_info: CameraInfo | None = None
        self._last_stamp_ns: int | None = None
        self._last_used_ns: int | None = None
        self._lap = self.restarts = 0
        self.on_restart: Callable[[int, int], None] = self.restart

    def use(self, parameters: FusionParameters) -> None:
        """Goes on with other values of the parameters that may change."""
        self._options = parameters
        self._jump_gate.max_m, self._jump_gate.max_rad = parameters.max_pose_jump_m, parameters.max_pose_jump_rad

    def begin(self) -> None:
        """Forgets everything that came before."""
        self.queue.take_all()
        self._camera_info = self._last_stamp_ns = self._last_used_ns = None
        self.start_lap()

    def start_lap(self) -> None:
        """The frames that come from now on may be anywhere."""
        self._lap += 1

    def restart(self, last_ns: int, stamp_ns: int) -> None:
        """A recording begins again: after last_ns came stamp_ns. What waits belongs to the end of the last round."""
        self._poses.time_jumped_back(stamp_ns + self._offset_ns)
        self.start_lap()
        self.restarts += 1
        self._last_stamp_ns = self._last_used_ns = None
        for frame in self.queue.take_all():
            self._reject_dropped(frame)

    @property
    def _offset_ns(self) -> int:
        return round(self._options.time_offset_s * NS_PER_S)

    @property
    def has_camera_info(self) -> bool:
        """A camera info has come."""
        return self._camera_info is not None

    def set_camera_info(self, info: CameraInfo) -> None:
        """The camera of the frames from now on; whether it is usable shows when it meets a frame."""
        self._camera_info = info
        self._wake()

    def add_image(self, image: Image) -> None:
        """Decodes and queues an image, or counts why not."""
        self.received += 1
        with self._rejections.gate(self.name):
            depth_m = decode_depth(image, self._options.depth_scale)
            self.add_frame(stamp_to_ns(image.header.stamp), image.header.frame_id, depth_m)

    def add_frame(self, stamp_ns: int, frame_id: str, depth_m: npt.NDArray[np.float32]) -> None:
        """Queues a decoded image. depth_m: (H, W) metres. Raises BadMessage 'no_depth' or 'time_backwards'."""
        nearest_m, farthest_m = self._options.min_depth, self._options.max_depth
        if not ((depth_m >= nearest_m) & (depth_m <= farthest_m) & (depth_m > 0)).any():
            raise BadMessage("no_depth", f"No pixel has a depth between {nearest_m:g} and {farthest_m:g} m.")
        self._check_time(stamp_ns)
        dropped = self.queue.put(DepthFrame(stamp_ns, frame_id, depth_m, time.monotonic(), self._lap, self.restarts))
        if dropped is not None:
            self._reject_dropped(dropped)
        self._wake()

    def take(self) -> tuple[ReadyFrame | None, float | None]:
        """The oldest frame if it can be used; if it never can, it is counted and left out.

        And the seconds until there can be something to take: 0 is at once, None is not before something comes.
        """
        frame = self.queue.oldest()
        if frame is None:
            return None, None
        try:
            ready = self._prepare(frame)
        except _NotYet as missing:
            frame.missing = missing
            wait_s = frame.arrived_s + self._options.max_wait_for_pose_s - time.monotonic()
            if wait_s > 0:
                return None, wait_s
            self._refuse(frame, missing)
            return None, 0.0
        except Exception as problem:
            self._refuse(frame, problem)
            return None, 0.0
        if self.queue.remove(frame):
            with self._rejections.gate(self.name):
                self._jump_gate.check(ready.T_world_camera, frame.lap)
                if frame.restarts == self.restarts:
                    self._last_used_ns = frame.stamp_ns
                return ready, 0.0
        return None, 0.0

    def _prepare(self, frame: DepthFrame) -> ReadyFrame:
        info = self._camera_info
        if info is None:
            raise _NotYet("no_camera_info", "No camera info has come yet.")
        height, width = frame.depth_m.shape
        camera = decode_camera(info, (width, height), self._rectified)
        lens = None if self._rectified else decode_distortion(info)
        T_world_camera = self._pose_of(frame)
        depth_m = frame.depth_m if lens is None else rectify(frame.depth_m, camera, lens)
        return ReadyFrame(frame.stamp_ns, frame.restarts, depth_m, camera, T_world_camera)

    def _pose_of(self, frame: DepthFrame) -> Matrix:
        try:
            T_world_camera = self._poses.at(frame.stamp_ns + self._offset_ns, frame.frame_id)
            check_reach(T_world_camera, self._options.voxel_size)
            return T_world_camera
        except NoPose as error:
            kind = _NotYet if error.may_still_come else BadMessage
            raise kind("no_pose", str(error)) from None
        except OutOfReach as error:
            raise BadMessage("pose", f"The pose is out of reach: {error}.") from None

    def _refuse(self, frame: DepthFrame, problem: Exception) -> None:
        """Counts the frame, unless it was dropped and counted in the meantime."""
        if self.queue.remove(frame):
            with self._rejections.gate(self.name):
                raise problem

    def _check_time(self, stamp_ns: int) -> None:
        last_ns, self._last_stamp_ns = self._last_stamp_ns, stamp_ns
        if last_ns is None or stamp_ns > last_ns:
            return
        if stamp_ns < last_ns - JUMP_BACK_NS:
            if self._last_used_ns is not None and stamp_ns > self._last_used_ns:
                return  # time goes on since the last frame used: the stamp of the image before was wrong
            self.on_restart(last_ns, stamp_ns)
            self._last_stamp_ns = stamp_ns
            return
        self._last_stamp_ns = last_ns
        text = f"The image of {stamp_ns / 1e9:.6f} s came after that of {last_ns / 1e9:.6f} s."
        raise BadMessage("time_backwards", text)

    def _reject_dropped(self, frame: DepthFrame) -> None:
        with self._rejections.gate(self.name):
            raise frame.missing or BadMessage("queue_full", "Fusion is slower than the images; the oldest was dropped.")


def is_rectified(choice: str, image_topic: str) -> bool:
    """Whether the images of a topic are rectified. choice: `yes`, `no`, or `auto` for what the topic's name says."""
    if choice != "auto":
        return choice == "yes"
    return not {"rect", "rectified"}.isdisjoint(re.split("[/_]", image_topic))


def topic_of(camera: str, topic: str) -> str:
    """A topic of a camera. That of a single camera has no name in front."""
    return f"{camera}/{topic}" if camera else topic
