# SPDX-License-Identifier: Apache-2.0
"""The work of the fusion node: frames that wait for their pose, fusion, and the stream of changed blocks. No topics."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.poses import Matrix, NoPose
from neuralfusion_ros.messages.camera_info import decode_camera
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.nodes.block_sender import BlockSender
from neuralfusion_ros.nodes.bounded_queue import BoundedQueue
from neuralfusion_ros.nodes.diagnostics import Durations
from neuralfusion_ros.nodes.parameters import FusionParameters
from neuralfusion_ros.nodes.pose_source import JUMP_BACK_NS, PoseSource
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.schedule import Schedule
from neuralfusion_ros.nodes.worker import Worker

_MESSAGES_AT_ONCE = 8
_RECEIVERS_LAG_S = 0.01


class _NotYet(BadMessage):
    """Something that a frame needs is missing, but may still come."""


@dataclass(eq=False)
class DepthFrame:
    """A decoded image that waits. missing: what the worker last found missing for it."""

    stamp_ns: int
    frame_id: str
    depth_m: npt.NDArray[np.float32]
    arrived_s: float
    missing: BadMessage | None = None


class FusionWork:
    """Callbacks hand in what they receive and what is to be done; the map is touched by the worker alone.

    received, integrated: frames. blocks_refused: for want of memory. newest_ns: stamp of the newest integrated frame;
    newest_s: when it was integrated, on the clock that never jumps. n_blocks, map_bytes: size of the map.
    """

    def __init__(
        self,
        mapper: Mapper,
        sender: BlockSender,
        poses: PoseSource,
        parameters: FusionParameters,
        rejections: Rejections,
    ) -> None:
        self._mapper, self.sender, self._poses, self._rejections = mapper, sender, poses, rejections
        self._max_wait_s = parameters.max_wait_for_pose_s
        self._depth_range_m = (parameters.min_depth, parameters.max_depth)
        self._publishing = Schedule(parameters.publish_rate_hz)
        self.queue: BoundedQueue[DepthFrame] = BoundedQueue(parameters.max_queue_length)
        self._camera_info: CameraInfo | None = None
        self._last_stamp_ns: int | None = None
        self.received = self.integrated = self.blocks_refused = self.newest_ns = 0
        self.n_blocks = self.map_bytes = 0
        self.newest_s: float | None = None
        self._map_changed = False
        self.durations = Durations()
        self._worker = Worker(self._step, rejections.unexpected)

    def start(self) -> None:
        """Begins to work, with the map as it is and without frames from before."""
        self.queue.take_all()
        self._camera_info = self._last_stamp_ns = None
        self._worker = Worker(self._step, self._rejections.unexpected)
        self._worker.start()

    def stop(self) -> None:
        """Ends the work after the frame at hand."""
        self._worker.stop()

    def wake(self) -> None:
        """Something has come that a frame may have waited for."""
        self._worker.wake()

    @property
    def has_camera_info(self) -> bool:
        """A camera info has come."""
        return self._camera_info is not None

    def set_camera_info(self, info: CameraInfo) -> None:
        """The camera of the frames from now on; whether it is usable shows when it meets a frame."""
        self._camera_info = info
        self.wake()

    def add_frame(self, stamp_ns: int, frame_id: str, depth_m: npt.NDArray[np.float32]) -> None:
        """Queues an image. depth_m: (H, W) metres. Raises BadMessage 'no_depth' or 'time_backwards'."""
        nearest_m, farthest_m = self._depth_range_m
        if not ((depth_m >= nearest_m) & (depth_m <= farthest_m) & (depth_m > 0)).any():
            raise BadMessage("no_depth", f"No pixel has a depth between {nearest_m:g} and {farthest_m:g} m.")
        self._check_time(stamp_ns)
        dropped = self.queue.put(DepthFrame(stamp_ns, frame_id, depth_m, time.monotonic()))
        if dropped is not None:
            self._reject_dropped(dropped)
        self.wake()

    def reset(self) -> Future[str]:
        """Forgets the map and begins another one."""

        def job() -> str:
            self._mapper.reset()
            self.sender.start_new_map()
            self._note_size()
            return "The map is empty."

        return self._worker.submit(job)

    def resend(self) -> None:
        """Sends the whole map once more."""
        self._worker.submit(lambda: self.sender.resend(self._mapper.grid))

    def _check_time(self, stamp_ns: int) -> None:
        last_ns, self._last_stamp_ns = self._last_stamp_ns, stamp_ns
        if last_ns is None or stamp_ns > last_ns:
            return
        if stamp_ns < last_ns - JUMP_BACK_NS:
            # A recording that begins again. What waits belongs to the end of the last round.
            self._poses.time_jumped_back(stamp_ns)
            for frame in self.queue.take_all():
                self._reject_dropped(frame)
            return
        self._last_stamp_ns = last_ns
        text = f"The image of {stamp_ns / 1e9:.6f} s came after that of {last_ns / 1e9:.6f} s."
        raise BadMessage("time_backwards", text)

    def _reject_dropped(self, frame: DepthFrame) -> None:
        reason = frame.missing or BadMessage("queue_full", "Fusion is slower than the images; the oldest was dropped.")
        self._rejections.reject(reason.reason, reason.detail)

    def _step(self) -> float | None:
        """One frame, a few messages. Returns the seconds until there is more to do."""
        frame = self.queue.oldest()
        frame_wait_s = self._handle(frame) if frame else None
        waits = [wait for wait in (frame_wait_s, self._publish()) if wait is not None]
        return min(waits, default=None)

    def _handle(self, frame: DepthFrame) -> float:
        """Uses or rejects the oldest frame, or lets it wait. Returns the seconds until something can change."""
        problem: Exception | None = None
        try:
            camera, pose = self._camera_of(frame), self._pose_of(frame)
        except _NotYet as missing:
            frame.missing = problem = missing
            wait_s = frame.arrived_s + self._max_wait_s - time.monotonic()
            if wait_s > 0:
                return wait_s
        except Exception as error:
            problem = error
        if self.queue.remove(frame):
            with self._rejections.gate():
                if problem is not None:
                    raise problem
                self._integrate(frame, camera, pose)
        return 0.0

    def _camera_of(self, frame: DepthFrame) -> PinholeCamera:
        if self._camera_info is None:
            raise _NotYet("no_camera_info", "No camera info has come yet.")
        height, width = frame.depth_m.shape
        return decode_camera(self._camera_info, (width, height))

    def _pose_of(self, frame: DepthFrame) -> Matrix:
        try:
            return self._poses.at(frame.stamp_ns, frame.frame_id)
        except NoPose as error:
            kind = _NotYet if error.may_still_come else BadMessage
            raise kind("no_pose", str(error)) from None

    def _integrate(self, frame: DepthFrame, camera: PinholeCamera, pose: Matrix) -> None:
        begin_s = time.perf_counter()
        result = self._mapper.integrate(frame.depth_m, pose, camera)
        self.durations.add(time.perf_counter() - begin_s)
        self.integrated += 1
        self.newest_ns, self.newest_s = frame.stamp_ns, time.monotonic()
        self._map_changed = True
        self._note_size()
        if result.blocks_refused:
            self.blocks_refused += result.blocks_refused
            text = f"The map has no room for {result.blocks_refused} new blocks; see max_map_bytes."
            self._rejections.reject("map_full", text)

    def _publish(self) -> float | None:
        """Sends what changed when it is time. Returns the seconds until there is more to send."""
        if not self._publishing.enabled:
            return None
        if self._map_changed and self._publishing.take():
            self.sender.add(self._mapper.take_changed(), self._mapper.take_removed())
            self._map_changed = False
        if not (self.sender.has_work and self.sender.has_receivers()):
            return self._publishing.wait_s() if self._map_changed else None
        sent = self.sender.send(self._mapper.grid, self.newest_ns, _MESSAGES_AT_ONCE)
        return 0.0 if sent else _RECEIVERS_LAG_S

    def _note_size(self) -> None:
        self.n_blocks, self.map_bytes = self._mapper.grid.n_blocks, self._mapper.grid.nbytes
