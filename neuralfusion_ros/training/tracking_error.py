# SPDX-License-Identifier: Apache-2.0
"""What a tracker makes of exact camera poses: it trembles, and it wanders off and comes back."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Pose = NDArray[np.float64]


class TrackingError:
    """Of one stream. Frames are to be passed in order.

    tremble, wander: standard deviation of the error per axis of the camera, (metres, radians). The first is new in
    every frame; the second changes with a correlation of exp(-d / wander_frames) at d frames (Ornstein-Uhlenbeck).
    """

    def __init__(self, tremble: tuple[float, float], wander: tuple[float, float], wander_frames: float = 30.0) -> None:
        self._tremble, self._wander = np.repeat(tremble, 3), np.repeat(wander, 3)
        self._kept = exp(-1 / wander_frames)
        self._offset: NDArray[np.float64] | None = None  # of unit variance; replaced, never changed in place

    def apply(self, T_world_camera: Pose, rng: np.random.Generator) -> Pose:
        """T_world_camera (4, 4) of the next frame with its error."""
        new, old = rng.standard_normal(6), self._offset
        self._offset = new if old is None else self._kept * old + sqrt(1 - self._kept**2) * new
        wrong = self._wander * self._offset + self._tremble * rng.standard_normal(6)
        error = np.eye(4)
        error[:3, :3] = Rotation.from_rotvec(wrong[3:]).as_matrix()
        error[:3, 3] = wrong[:3]
        return T_world_camera @ error


def random_tracking_error(rng: np.random.Generator) -> TrackingError:
    """None at all, only one of the two, or both; at most about what hand-held recordings show."""
    return TrackingError(_up_to(rng, 0.5, 0.006, 0.3), _up_to(rng, 0.35, 0.008, 0.3), float(rng.uniform(5, 40)))


def _up_to(rng: np.random.Generator, share: float, metres: float, degrees: float) -> tuple[float, float]:
    if rng.random() >= share:
        return 0.0, 0.0
    return float(rng.uniform(0, metres)), float(np.deg2rad(rng.uniform(0, degrees)))
