# SPDX-License-Identifier: Apache-2.0
"""Keeps poses that jump out of the map."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.poses import Matrix
from neuralfusion_ros.messages.errors import BadMessage


class JumpGate:
    """Compares the pose of every frame with that of the last one used.

    max_m, max_rad: how far it may be; 0 is off. They may be changed.

    A pose that jumps and stays away is refused for the rest of the lap: nothing here could tell which one is right.
    """

    def __init__(self, max_m: float, max_rad: float) -> None:
        self.max_m, self.max_rad = max_m, max_rad
        self._last: Matrix | None = None
        self._lap = 0

    def check(self, T_world_camera: Matrix, lap: int) -> None:
        """Notes the (4, 4) pose of a frame that will be used. Raises BadMessage 'pose_jump' if it must not be.

        lap: frames of different laps are not compared.
        """
        last = self._last if lap == self._lap else None
        if last is not None and (self.max_m > 0 or self.max_rad > 0):
            self._compare(last, T_world_camera)
        self._last, self._lap = T_world_camera, lap

    def _compare(self, last: Matrix, T_world_camera: Matrix) -> None:
        moved_m = float(np.linalg.norm(T_world_camera[:3, 3] - last[:3, 3]))
        turned_rad = float(Rotation.from_matrix(last[:3, :3].T @ T_world_camera[:3, :3]).magnitude())
        if (0 < self.max_m < moved_m) or (0 < self.max_rad < turned_rad):
            text = f"The camera moved {moved_m:.3f} m and turned {turned_rad:.3f} rad since the last frame used;"
            raise BadMessage("pose_jump", f"{text} allowed are {_limit(self.max_m)} m and {_limit(self.max_rad)} rad.")


def _limit(value: float) -> str:
    return f"{value:g}" if value > 0 else "any"
