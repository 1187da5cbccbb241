# SPDX-License-Identifier: Apache-2.0
"""Frames of shapes whose distances are known by a formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera


@dataclass(frozen=True)
class Plane:
    """The points with normal . x = offset; the camera is on the side of smaller values."""

    normal: np.ndarray
    offset_m: float

    def depth(self, rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
        return (self.offset_m - self.normal @ origin) / (rays @ self.normal)

    def distance(self, points: np.ndarray) -> np.ndarray:
        return self.offset_m - points @ self.normal


@dataclass(frozen=True)
class Sphere:
    """Seen from outside."""

    centre: np.ndarray
    radius_m: float

    def depth(self, rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
        to_centre = self.centre - origin
        a, b = (rays**2).sum(-1), rays @ to_centre
        inside = b**2 - a * (to_centre @ to_centre - self.radius_m**2)
        return np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)

    def distance(self, points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points - self.centre, axis=-1) - self.radius_m


Shape = Plane | Sphere


class Studio:
    """A camera of odd size, with focal lengths that differ and a principal point off the centre: mix-ups show."""

    camera = PinholeCamera(width=161, height=119, fx=140.0, fy=150.0, cx=78.3, cy=60.6)

    @staticmethod
    def pose(position: tuple[float, float, float], rotvec_deg: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        """(4, 4) T_world_camera."""
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec(rotvec_deg, degrees=True).as_matrix()
        T[:3, 3] = position
        return T

    def frame(self, shape: Shape, T_world_camera: np.ndarray) -> Frame:
        """Exact depth of the shape, up to 4 m."""
        v, u = np.mgrid[: self.camera.height, : self.camera.width]
        x, y = (u - self.camera.cx) / self.camera.fx, (v - self.camera.cy) / self.camera.fy
        rays = np.stack((x, y, np.ones(x.shape)), axis=-1) @ T_world_camera[:3, :3].T
        depth = shape.depth(rays, T_world_camera[:3, 3])
        return Frame(0, np.where((depth > 0) & (depth < 4), depth, 0).astype(np.float32), T_world_camera)

    @staticmethod
    def plane(normal: tuple[float, float, float], offset_m: float) -> Plane:
        return Plane(np.array(normal) / np.linalg.norm(normal), offset_m)

    @staticmethod
    def sphere(centre: tuple[float, float, float], radius_m: float) -> Sphere:
        return Sphere(np.array(centre), radius_m)


@pytest.fixture
def studio() -> Studio:
    return Studio()
