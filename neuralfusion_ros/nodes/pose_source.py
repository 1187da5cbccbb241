# SPDX-License-Identifier: Apache-2.0
"""Where a camera was at a moment: from a topic of poses, with or without a mounting, or from transforms."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from neuralfusion_ros.mapping.poses import Matrix, NoPose, PoseTrack
from neuralfusion_ros.messages.stamps import NS_PER_S
from neuralfusion_ros.nodes.transform_listener import TransformListener

# Smaller steps back are messages in a wrong order; larger ones are a recording that begins again.
JUMP_BACK_NS = NS_PER_S


class PoseSource(Protocol):
    """Poses of the camera's optical frame in the global frame. Safe from any thread."""

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The (4, 4) pose of the optical frame `frame_id`. Raises NoPose."""

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets poses from before the jump; stamp_ns: the first moment after it."""


class TopicPoses:
    """Poses that a callback puts in. keep_s: for how long. max_gap_s: poses further apart are not interpolated.

    body_frame: the frame whose poses they are, as far as the topic says.
    """

    def __init__(self, keep_s: float, max_gap_s: float) -> None:
        self._max_gap_ns = round(max_gap_s * NS_PER_S)
        self._track = PoseTrack(round(keep_s * NS_PER_S), JUMP_BACK_NS)
        self._lock = Lock()
        self.body_frame = ""

    def add(self, stamp_ns: int, T_world_body: Matrix, body_frame: str = "") -> None:
        """Stores a pose."""
        with self._lock:
            self._track.add(stamp_ns, T_world_body)
            self.body_frame = body_frame

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The pose at that moment, whatever the camera's frame is called. Raises NoPose."""
        with self._lock:
            return self._track.at(stamp_ns, self._max_gap_ns)

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets all poses if the newest is much newer than stamp_ns. After a jump the first pose may come first."""
        with self._lock:
            self._track.begin_again(stamp_ns)


class MountedPoses:
    """Poses of a camera that is fixed on the body whose poses a topic tells. T_body_camera: (4, 4), the mounting."""

    def __init__(self, body: TopicPoses, T_body_camera: Matrix) -> None:
        self._body, self._T_body_camera = body, T_body_camera

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The camera's pose. Raises NoPose."""
        return self._body.at(stamp_ns, frame_id) @ self._T_body_camera

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets the body's poses from before the jump."""
        self._body.time_jumped_back(stamp_ns)


class TfMountedPoses:
    """Poses of a camera on the body whose poses a topic tells, where the mounting is found in the transforms."""

    def __init__(self, body: TopicPoses, transforms: TransformListener) -> None:
        self._body, self._transforms = body, transforms

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The camera's pose. Raises NoPose."""
        T_world_body = self._body.at(stamp_ns, frame_id)
        if not self._body.body_frame:
            raise NoPose("unknown", "the odometry has no child_frame_id, so the camera's place on it cannot be found")
        return T_world_body @ self._transforms.at(frame_id, self._body.body_frame, stamp_ns)

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets poses and moving transforms from before the jump."""
        self._body.time_jumped_back(stamp_ns)
        self._transforms.time_jumped_back(stamp_ns)


class TfPoses:
    """Poses from the transforms alone. global_frame: the frame in which they are wanted."""

    def __init__(self, transforms: TransformListener, global_frame: str) -> None:
        self._transforms, self._global_frame = transforms, global_frame

    def at(self, stamp_ns: int, frame_id: str) -> Matrix:
        """The pose of frame_id in the global frame. Raises NoPose, after which the transform may still come."""
        return self._transforms.at(frame_id, self._global_frame, stamp_ns)

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets moving transforms from before the jump."""
        self._transforms.time_jumped_back(stamp_ns)
