# SPDX-License-Identifier: Apache-2.0
"""The transforms of a bag (/tf and /tf_static): where one frame was in another, over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from neuralfusion_ros.datasets.bag_reader import TF_MESSAGE, BagReader, stamp_ns
from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.poses import Matrix, pose_matrix
from neuralfusion_ros.mapping.transforms import Transforms, chain_up, frame_name

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
        try:
            return chain_up(self._parents, frame, root)
        except ValueError as error:
            raise RecordingError(f"{self._bag.path}: {error}") from None

    def poses(self, chain: list[str], max_gap_ns: int) -> PoseAt:
        """The pose of a chain's first frame in its root. Every transform is interpolated at the moment asked for."""
        transforms, root = self._read(set(chain), max_gap_ns), self._parents[chain[-1]]
        return lambda time_ns: transforms.at(chain[0], root, time_ns)

    def frames(self) -> str:
        """All known frames, for error messages."""
        return ", ".join(sorted({*self._parents, *self._parents.values()})) or "none"

    def _read(self, frames: set[str], max_gap_ns: int) -> Transforms:
        transforms, found = Transforms(max_gap_ns), set()
        for is_fixed, child, parent, transform in _transforms(self._bag):
            if child not in frames or parent != self._parents[child]:
                continue
            T_parent_child = _matrix(transform)
            if T_parent_child is None:
                continue
            found.add(child)
            if is_fixed:
                transforms.add_fixed(child, parent, T_parent_child)
            else:
                transforms.add_moving(child, parent, stamp_ns(transform.header.stamp), T_parent_child)
        if missing := frames - found:
            raise RecordingError(f"{self._bag.path}: no usable transform of frame {', '.join(sorted(missing))}")
        return transforms


def _transforms(bag: BagReader) -> Iterator[tuple[bool, str, str, Any]]:
    """(is it fixed, child, parent, TransformStamped) of every transform in the bag."""
    for topic, message in bag.messages(*bag.topics(TF_MESSAGE)):
        for transform in message.transforms if message is not None else ():
            parent = transform.header.frame_id
            yield topic.endswith("tf_static"), frame_name(transform.child_frame_id), frame_name(parent), transform


def _matrix(transform: Any) -> Matrix | None:
    shift, turn = transform.transform.translation, transform.transform.rotation
    try:
        return pose_matrix((shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w))
    except ValueError:
        return None
