# SPDX-License-Identifier: Apache-2.0
"""The transforms of a bag (/tf and /tf_static): where one frame was in another, over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neuralfusion_ros.datasets.bag_reader import TF_MESSAGE, BagReader, stamp_ns
from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.poses import Matrix, PoseTrack, pose_matrix

# Time in nanoseconds -> (4, 4) pose. Raises NoPose.
PoseAt = Callable[[int], Matrix]


class TransformTree:
    """Which frame hangs on which. Transforms themselves are read only for the frames that a question needs."""

    def __init__(self, bag: BagReader) -> None:
        self._bag = bag
        self._parents = {child: parent for _, child, parent, _ in _transforms(bag)}

    def chain(self, frame: str, root: str | None = None) -> list[str]:
        """The frames on the way up from `frame`, without the root; up to the last parent if no root is named.

        Empty when no such way exists. Raises RecordingError when the way is a circle.
        """
        chain: list[str] = []
        while frame in self._parents and frame != root:
            if frame in chain:
                raise RecordingError(f"{self._bag.path}: the transforms form a circle at frame '{frame}'")
            chain.append(frame)
            frame = self._parents[frame]
        return chain if root in (None, frame) else []

    def poses(self, chain: list[str], max_gap_ns: int) -> PoseAt:
        """The pose of a chain's first frame in its root. Every transform is interpolated at the moment asked for."""
        fixed, moving = self._read(set(chain))

        def pose_at(time_ns: int) -> Matrix:
            T = np.eye(4)
            for frame in reversed(chain):
                T = T @ (moving[frame].at(time_ns, max_gap_ns) if frame in moving else fixed[frame])
            return T

        return pose_at

    def frames(self) -> str:
        """All known frames, for error messages."""
        return ", ".join(sorted({*self._parents, *self._parents.values()})) or "none"

    def _read(self, frames: set[str]) -> tuple[dict[str, Matrix], dict[str, PoseTrack]]:
        fixed: dict[str, Matrix] = {}
        moving: dict[str, PoseTrack] = {}
        for is_fixed, child, parent, transform in _transforms(self._bag):
            if child not in frames or parent != self._parents[child]:
                continue
            T_parent_child = _matrix(transform)
            if T_parent_child is None:
                continue
            if is_fixed:
                fixed[child] = T_parent_child
            else:
                moving.setdefault(child, PoseTrack()).add(stamp_ns(transform.header.stamp), T_parent_child)
        if missing := frames - fixed.keys() - moving.keys():
            raise RecordingError(f"{self._bag.path}: no usable transform of frame {', '.join(sorted(missing))}")
        return fixed, moving


def _transforms(bag: BagReader) -> Iterator[tuple[bool, str, str, Any]]:
    """(is it fixed, child, parent, TransformStamped) of every transform in the bag."""
    for topic, message in bag.messages(*bag.topics(TF_MESSAGE)):
        for transform in message.transforms if message is not None else ():
            parent = transform.header.frame_id
            yield topic.endswith("tf_static"), frame_name(transform.child_frame_id), frame_name(parent), transform


def frame_name(frame_id: str) -> str:
    """Frame names of ROS 1 began with a slash, and some drivers still write it."""
    return frame_id.removeprefix("/")


def _matrix(transform: Any) -> Matrix | None:
    shift, turn = transform.transform.translation, transform.transform.rotation
    try:
        return pose_matrix((shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w))
    except ValueError:
        return None
