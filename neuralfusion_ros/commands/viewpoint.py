# SPDX-License-Identifier: Apache-2.0
"""Where to look at a mesh from: above at a slant, from the side that shows most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.commands.front_faces import Floats, FrontFaces, Triangles

Doubles = npt.NDArray[np.float64]

_ELEVATION = np.radians(46.0)
_HALF_HEIGHT = np.tan(np.radians(17.0))
_SIDES = 12
_MARGIN = 1.04


@dataclass(frozen=True)
class View:
    """eye: (3,). axes: (3, 3) rows right, down, forward. half_width, half_height: of the image at distance 1."""

    eye: Floats
    axes: Floats
    half_width: float
    half_height: float

    def rays(self, width: int, height: int, shift: tuple[float, float] = (0.0, 0.0)) -> Floats:
        """(height * width, 3) rays through the centres of the pixels, shifted by a part of a pixel."""
        x = ((np.arange(width) + 0.5 + shift[0]) / width * 2 - 1) * self.half_width
        y = ((np.arange(height) + 0.5 + shift[1]) / height * 2 - 1) * self.half_height
        right, down, forward = self.axes.astype(np.float64)
        rays = y[:, None, None] * down + x[None, :, None] * right + forward
        return rays.reshape(-1, 3).astype(np.float32)


def up_direction(poses: Iterable[Doubles]) -> Doubles:
    """(3,) direction that was up on average for upright cameras with the poses (4, 4) T_world_camera."""
    return np.sum([-T_world_camera[:3, 1] for T_world_camera in poses], axis=0, dtype=np.float64).reshape(3)


def levelled(mesh: Triangles, up: npt.ArrayLike) -> Doubles:
    """(3,) unit vector near `up` that the floors and table tops of the mesh agree on."""
    direction = _unit(np.asarray(up, np.float64))
    for cone_deg in (40.0, 20.0, 10.0, 5.0):
        cosine = mesh.normals @ direction / np.maximum(np.linalg.norm(mesh.normals, axis=1), 1e-12)
        level = mesh.normals[cosine > np.cos(np.radians(cone_deg))]
        direction = _unit(level.sum(axis=0, dtype=np.float64)) if len(level) else direction
    return direction


def choose_view(mesh: Triangles, up: Doubles, aspect: float) -> View:
    """The view in whose picture the front faces cover most. up: (3,) unit. aspect: width / height."""
    points = _without_strays(mesh.sample(20000))
    angles = np.arange(_SIDES) * 2 * np.pi / _SIDES
    views = [_fitted(points, _axes(up, angle), aspect) for angle in angles]
    return max(views, key=lambda view: _cover(mesh, view))


def _cover(mesh: Triangles, view: View) -> float:
    return float(np.isfinite(FrontFaces(mesh, view.eye).distances(view.eye, view.rays(96, 72))).mean())


def _without_strays(points: Floats) -> Floats:
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    return points[np.all((points >= low) & (points <= high), axis=1)]


def _axes(up: Doubles, angle: float) -> Doubles:
    """Rows right, down, forward of an eye that looks down at the elevation, from the side at `angle`."""
    east = _unit(np.cross(up, np.eye(3)[np.argmin(np.abs(up))]))
    side = np.cos(angle) * east + np.sin(angle) * np.cross(up, east)
    forward = -np.cos(_ELEVATION) * side - np.sin(_ELEVATION) * up
    right = _unit(np.cross(forward, up))
    return np.stack((right, np.cross(forward, right), forward))


def _fitted(points: Floats, axes: Doubles, aspect: float) -> View:
    """The nearest eye that sees all points, with their outline in the middle of the picture."""
    halves = _HALF_HEIGHT * np.array([aspect, 1.0])
    local = points.astype(np.float64) @ axes.T
    centre = local.mean(axis=0)
    for _ in range(8):
        across, along = local[:, :2] - centre[:2], local[:, 2] - centre[2]
        distance = max(float((np.abs(across) / halves - along[:, None]).max()), 1e-6)
        outline = across / (along + distance)[:, None]
        centre[:2] += (outline.max(axis=0) + outline.min(axis=0)) / 2 * distance
    eye = (centre - [0, 0, _MARGIN * distance]) @ axes
    return View(eye.astype(np.float32), axes.astype(np.float32), float(halves[0]), float(halves[1]))


def _unit(vector: Doubles) -> Doubles:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
