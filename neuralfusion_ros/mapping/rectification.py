# SPDX-License-Identifier: Apache-2.0
"""Depth images of a lens with distortion, made into those of a pinhole camera with the same intrinsics.

Every pixel takes the depth that the lens put nearest to where its ray belongs. Nothing is averaged: that would put
points between a thing and its background. Depth along z is the same for both cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.camera import PinholeCamera

Array = npt.NDArray[np.float64]

_RADIUS_STEPS = 2048


@dataclass(frozen=True)
class Distortion:
    """Brown's model with a rational radial part, as OpenCV and ROS have it; plumb_bob is the case k4 = k5 = k6 = 0."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0

    def radial(self, r2: Array) -> Array:
        """How much further out points at the squared radius r2 are seen."""
        with np.errstate(all="ignore"):
            above = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
            return np.asarray(above / (1 + r2 * (self.k4 + r2 * (self.k5 + r2 * self.k6))))

    def apply(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Where the lens shows the points (x, y, 1)."""
        r2 = x * x + y * y
        radial = self.radial(r2)
        x_seen = x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x)
        y_seen = y * radial + 2 * self.p2 * x * y + self.p1 * (r2 + 2 * y * y)
        return x_seen, y_seen

    def valid_radius(self, up_to: float) -> float:
        """The radius up to which points further out are seen further out. Beyond it the polynomial means nothing."""
        radii = np.linspace(0, up_to, _RADIUS_STEPS)
        with np.errstate(all="ignore"):
            good = np.diff(radii * self.radial(radii * radii)) > 0  # false for NaN, too
        return up_to if good.all() else float(radii[int(np.argmin(good))])


def rectify(depth_m: npt.NDArray[np.float32], camera: PinholeCamera, lens: Distortion) -> npt.NDArray[np.float32]:
    """(H, W) depth as the pinhole camera would see it; 0 where the lens saw nothing."""
    with_nothing = np.append(depth_m.ravel(), np.float32(0))
    return np.asarray(with_nothing[rectification_table(camera, lens)])


@lru_cache(maxsize=8)
def rectification_table(camera: PinholeCamera, lens: Distortion) -> npt.NDArray[np.intp]:
    """(H, W): for every pixel, the number (v * W + u) of the pixel of the lens to take; H * W for none."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    radius = np.hypot(x, y)
    # Absurd coefficients may overflow; such pixels are not inside.
    with np.errstate(over="ignore", invalid="ignore"):
        x_seen, y_seen = lens.apply(x, y)
        column, row = np.floor(x_seen * camera.fx + camera.cx + 0.5), np.floor(y_seen * camera.fy + camera.cy + 0.5)
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    inside &= radius <= lens.valid_radius(float(radius.max()))
    number = np.where(inside, row * camera.width + column, camera.width * camera.height)
    table = number.astype(np.intp)
    table.flags.writeable = False
    return table
