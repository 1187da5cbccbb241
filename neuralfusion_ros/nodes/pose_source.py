# SPDX-License-Identifier: Apache-2.0
"""Where the camera was at a moment, from a topic of poses or from tf2."""

from __future__ import annotations

from threading import Lock
from typing import Any, Protocol

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from neuralfusion_ros.mapping.poses import Matrix, NoPose, PoseTrack, pose_matrix
from neuralfusion_ros.messages.stamps import NS_PER_S
from neuralfusion_ros.nodes.parameters import ParameterError

# Smaller steps back are messages in a wrong order; larger ones are a recording that begins again.
JUMP_BACK_NS = NS_PER_S


class PoseSource(Protocol):
    """Poses of the camera's optical frame in the global frame. Safe from any thread."""

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The (4, 4) pose of the optical frame `frame_id`. Raises NoPose."""

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets poses from before the jump; stamp_ns: the first moment after it."""


class TopicPoses:
    """Poses that a callback puts in. keep_s: for how long. max_gap_s: poses further apart are not interpolated."""

    def __init__(self, keep_s: float, max_gap_s: float) -> None:
        self._max_gap_ns = round(max_gap_s * NS_PER_S)
        self._track = PoseTrack(round(keep_s * NS_PER_S))
        self._newest_ns: int | None = None
        self._lock = Lock()

    def add(self, stamp_ns: int, T_world_camera: Matrix) -> None:
        """Stores a pose."""
        self.time_jumped_back(stamp_ns)
        with self._lock:
            self._track.add(stamp_ns, T_world_camera)
            self._newest_ns = max(stamp_ns, self._newest_ns or stamp_ns)

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The pose at that moment; the topic says nothing about frames. Raises NoPose."""
        with self._lock:
            return self._track.at(stamp_ns, self._max_gap_ns)

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets all poses if the newest is much newer than stamp_ns. After a jump the first pose may come first."""
        with self._lock:
            if self._newest_ns is not None and stamp_ns < self._newest_ns - JUMP_BACK_NS:
                self._track.clear()
                self._newest_ns = None


class TfPoses:
    """Poses from tf2, which also knows how the camera is mounted. Raises ParameterError without tf2_ros."""

    def __init__(self, node: Node, global_frame: str, keep_s: float) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            text = "pose_source 'tf' needs the ROS package tf2_ros, which is not installed; use 'pose' or 'odom'"
            raise ParameterError(text) from error
        self._tf2_ros: Any = tf2_ros
        self._global_frame = global_frame
        self._buffer = tf2_ros.Buffer(Duration(nanoseconds=round(keep_s * NS_PER_S)))
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The pose of frame_id in the global frame. Raises NoPose, after which the transform may still come."""
        try:
            found = self._buffer.lookup_transform(self._global_frame, frame_id, Time(nanoseconds=stamp_ns))
        except self._tf2_ros.TransformException as error:
            text = f"no transform at {stamp_ns / NS_PER_S:.6f} s from '{frame_id}' to '{self._global_frame}': {error}"
            raise NoPose("after last", text) from error
        t, q = found.transform.translation, found.transform.rotation
        return pose_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets all transforms."""
        self._buffer.clear()

    def close(self) -> None:
        """Ends the subscriptions to /tf and /tf_static."""
        self._listener.unregister()
