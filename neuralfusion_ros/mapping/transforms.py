# SPDX-License-Identifier: Apache-2.0
"""A tree of named frames whose transforms change over time: where one frame was in another at a moment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuralfusion_ros.mapping.poses import Matrix, NoPose, PoseTrack

_SHOWN_FRAMES = 12


class Transforms:
    """Every frame hangs on at most one parent, fixed or moving. Names may begin with a slash, as those of ROS 1 did.

    max_gap_ns: moments between two poses further apart than this have no transform. keep_ns, jump_back_ns: of the
    track of every moving frame, see PoseTrack.
    """

    def __init__(self, max_gap_ns: int, keep_ns: int | None = None, jump_back_ns: int | None = None) -> None:
        self._max_gap_ns, self._keep_ns, self._jump_back_ns = max_gap_ns, keep_ns, jump_back_ns
        self._parents: dict[str, str] = {}
        self._fixed: dict[str, Matrix] = {}
        self._moving: dict[str, PoseTrack] = {}

    def add_fixed(self, child: str, parent: str, T_parent_child: Matrix) -> None:
        """A transform that holds at all times. It changes nothing for a frame that is known to move."""
        child = self._hang(child, parent)
        self._fixed[child] = T_parent_child

    def add_moving(self, child: str, parent: str, stamp_ns: int, T_parent_child: Matrix) -> None:
        """A transform at one moment."""
        child = self._hang(child, parent)
        if child not in self._moving:
            self._moving[child] = PoseTrack(self._keep_ns, self._jump_back_ns)
        self._moving[child].add(stamp_ns, T_parent_child)

    def time_jumped_back(self, stamp_ns: int) -> None:
        """Forgets where frames were if that is much later than stamp_ns; what is fixed stays."""
        for track in self._moving.values():
            track.begin_again(stamp_ns)

    def at(self, frame: str, root: str, time_ns: int) -> Matrix:
        """(4, 4) pose of `frame` in `root`, every transform on the way interpolated at that moment. Raises NoPose."""
        frame, root = frame_name(frame), frame_name(root)
        up, down = self._ancestors(frame), self._ancestors(root)
        common = next((name for name in up if name in down), None)
        if common is None:
            raise NoPose("unknown", f"no transform leads from '{frame}' to '{root}'; known frames: {self._frames()}")
        T_common_root = self._down(down[: down.index(common)], time_ns)
        return np.asarray(np.linalg.inv(T_common_root) @ self._down(up[: up.index(common)], time_ns))

    def _hang(self, child: str, parent: str) -> str:
        """Notes the parent. A frame that was hung on another one begins anew."""
        child, parent = frame_name(child), frame_name(parent)
        if self._parents.get(child, parent) != parent:
            self._fixed.pop(child, None)
            self._moving.pop(child, None)
        self._parents[child] = parent
        return child

    def _ancestors(self, frame: str) -> list[str]:
        """The frame, its parent and so on."""
        try:
            chain = chain_up(self._parents, frame)
        except ValueError as error:
            raise NoPose("unknown", str(error)) from None
        return [*chain, self._parents[chain[-1]] if chain else frame]

    def _down(self, chain: list[str], time_ns: int) -> Matrix:
        """The pose of a chain's first frame in the parent of its last."""
        T = np.eye(4)
        for frame in reversed(chain):
            T = T @ self._one(frame, time_ns)
        return T

    def _one(self, frame: str, time_ns: int) -> Matrix:
        if frame not in self._moving:
            return self._fixed[frame]
        try:
            return self._moving[frame].at(time_ns, self._max_gap_ns)
        except NoPose as error:
            text = f"transform from '{frame}' to '{self._parents[frame]}': {error}"
            raise NoPose(error.reason, text) from None

    def _frames(self) -> str:
        names = sorted({*self._parents, *self._parents.values()})
        shown = ", ".join(names[:_SHOWN_FRAMES])
        return f"{shown} and {len(names) - _SHOWN_FRAMES} more" if len(names) > _SHOWN_FRAMES else shown or "none"


def chain_up(parents: Mapping[str, str], frame: str, root: str | None = None) -> list[str]:
    """The frames on the way up from `frame`, without the root; up to the last parent if no root is named.

    Empty when no such way exists. Raises ValueError when the way is a circle.
    """
    chain: list[str] = []
    while frame in parents and frame != root:
        if frame in chain:
            raise ValueError(f"the transforms form a circle at frame '{frame}'")
        chain.append(frame)
        frame = parents[frame]
    return chain if root in (None, frame) else []


def frame_name(frame_id: str) -> str:
    """Frame names of ROS 1 began with a slash, and some drivers still write it."""
    return frame_id.removeprefix("/")
