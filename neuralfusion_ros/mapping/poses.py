# SPDX-License-Identifier: Apache-2.0
"""Rigid poses as 4x4 matrices, and a track of poses over time that answers "where was the camera at this moment?"."""

from __future__ import annotations

from bisect import bisect_left
from math import hypot, isfinite
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

Matrix = npt.NDArray[np.float64]
NoPoseReason = Literal["before first", "after last", "gap", "unknown"]

# As loose as tf2: many sources write few decimals.
QUATERNION_NORM_TOLERANCE = 1e-2
_ROTATION_TOLERANCE = 1e-3


def pose_matrix(position_m: npt.ArrayLike, quaternion_xyzw: npt.ArrayLike) -> Matrix:
    """(3,) position and (4,) quaternion (x, y, z, w) to a (4, 4) pose.

    Raises ValueError when a number is not finite or the quaternion is not of unit length.
    """
    # In plain Python: /tf brings a thousand of these in a second, and small arrays are slow.
    px, py, pz = map(float, np.asarray(position_m, np.float64))
    quaternion = [float(number) for number in np.asarray(quaternion_xyzw, np.float64)]
    norm = hypot(*quaternion)
    if not (isfinite(px) and isfinite(py) and isfinite(pz) and isfinite(norm)):
        raise ValueError("pose is not finite")
    if abs(norm - 1.0) > QUATERNION_NORM_TOLERANCE:
        raise ValueError(f"quaternion has length {norm:.3g}, not 1")
    x, y, z, w = (number / norm for number in quaternion)
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), px),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), py),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), pz),
            (0.0, 0.0, 0.0, 1.0),
        )
    )


def position_and_quaternion(T: Matrix) -> tuple[Matrix, Matrix]:
    """(4, 4) pose to its (3,) position and (4,) unit quaternion (x, y, z, w)."""
    return T[:3, 3].copy(), Rotation.from_matrix(T[:3, :3]).as_quat()


def is_rigid(T: Matrix) -> bool:
    """A finite (4, 4) matrix is a rotation and a translation: neither scaled, sheared, mirrored nor transposed."""
    R = T[:3, :3]
    orthonormal = np.abs(R @ R.T - np.eye(3)).max() < _ROTATION_TOLERANCE and np.linalg.det(R) > 0
    return bool(orthonormal and np.array_equal(T[3], (0, 0, 0, 1)))


def interpolate(T_a: Matrix, T_b: Matrix, fraction: float) -> Matrix:
    """The pose `fraction` (0..1) of the way from T_a to T_b: straight in position, the shortest turn in rotation."""
    turn = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack((T_a[:3, :3], T_b[:3, :3]))))
    T = np.eye(4)
    T[:3, :3] = turn(fraction).as_matrix()
    T[:3, 3] = (1.0 - fraction) * T_a[:3, 3] + fraction * T_b[:3, 3]
    return T


class NoPose(LookupError):
    """No pose is known for a moment. The message names the moment, the nearest poses and their distance in time.

    reason: why. "before first" and "gap" are final; after "after last" and "unknown" (nothing was heard of the thing)
    the pose may still arrive.
    """

    def __init__(self, reason: NoPoseReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def may_still_come(self) -> bool:
        """True when a later call can succeed because newer poses may arrive."""
        return self.reason in ("after last", "unknown")


class PoseTrack:
    """Poses sorted by time. Used live by one thread of a node, and for whole recordings.

    keep_ns: poses older than this, counted back from the newest one, are dropped. None keeps all.
    jump_back_ns: a pose older by more than this than the newest means that time began again, as when a recording is
    repeated; all poses from before are forgotten. None: never.
    """

    def __init__(self, keep_ns: int | None = None, jump_back_ns: int | None = None) -> None:
        self._keep_ns, self._jump_back_ns = keep_ns, jump_back_ns
        self._stamps: list[int] = []
        self._poses: list[Matrix] = []

    def __len__(self) -> int:
        return len(self._stamps)

    def clear(self) -> None:
        """Forget all poses, for example after time jumped back."""
        self._stamps.clear()
        self._poses.clear()

    def begin_again(self, stamp_ns: int) -> None:
        """Forget all poses if it is now stamp_ns and that is a jump back in time. The first pose after it may be in."""
        if self._jump_back_ns is not None and self._stamps and stamp_ns < self._stamps[-1] - self._jump_back_ns:
            self.clear()

    def add(self, stamp_ns: int, T_world_camera: Matrix) -> None:
        """Store a (4, 4) pose. Any order of time is accepted; a pose with a known stamp replaces the older one."""
        self.begin_again(stamp_ns)
        pose = np.array(T_world_camera, np.float64)
        index = bisect_left(self._stamps, stamp_ns)
        if index < len(self._stamps) and self._stamps[index] == stamp_ns:
            self._poses[index] = pose
            return
        self._stamps.insert(index, stamp_ns)
        self._poses.insert(index, pose)
        if self._keep_ns is not None:
            dropped = bisect_left(self._stamps, self._stamps[-1] - self._keep_ns)
            del self._stamps[:dropped], self._poses[:dropped]

    def at(self, stamp_ns: int, max_gap_ns: int) -> Matrix:
        """The (4, 4) pose at a moment: the stored one, or one between two neighbours at most max_gap_ns apart.

        Raises NoPose.
        """
        index = bisect_left(self._stamps, stamp_ns)
        if index < len(self._stamps) and self._stamps[index] == stamp_ns:
            return self._poses[index].copy()
        if index == len(self._stamps):
            raise NoPose("after last", self._after_last(stamp_ns))
        if index == 0:
            first = self._stamps[0]
            raise NoPose("before first", f"{_no_pose(stamp_ns)} the first pose is {_later(first, stamp_ns)}")
        before, after = self._stamps[index - 1], self._stamps[index]
        if after - before > max_gap_ns:
            around = f"its neighbours are {_later(before, stamp_ns)} and {_later(after, stamp_ns)}"
            raise NoPose("gap", f"{_no_pose(stamp_ns)} {around}, more than {max_gap_ns / 1e9:g} s apart")
        fraction = (stamp_ns - before) / (after - before)
        return interpolate(self._poses[index - 1], self._poses[index], fraction)

    def _after_last(self, stamp_ns: int) -> str:
        if not self._stamps:
            return f"{_no_pose(stamp_ns)} there are no poses"
        return f"{_no_pose(stamp_ns)} the last pose is {_later(self._stamps[-1], stamp_ns)}"


def _no_pose(stamp_ns: int) -> str:
    return f"no pose at {stamp_ns / 1e9:.6f} s:"


def _later(stamp_ns: int, wanted_ns: int) -> str:
    """Such as "at 12.000000 s (0.500000 s later)"."""
    word = "later" if stamp_ns > wanted_ns else "earlier"
    return f"at {stamp_ns / 1e9:.6f} s ({abs(stamp_ns - wanted_ns) / 1e9:.6f} s {word})"
