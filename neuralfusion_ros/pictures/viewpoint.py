# SPDX-License-Identifier: Apache-2.0
"""Where to look at a mesh from: from above at a slant and from the side that shows most, if nothing else is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.pictures.front_faces import Floats, Triangles

Doubles = npt.NDArray[np.float64]

_HALF_HEIGHT = np.tan(np.radians(17.0))
_SIDES = 12
_CELLS = 24  # on either side of the middle
_MARGIN = 1.04
_UPRIGHT_COSINE = 0.9


@dataclass(frozen=True)
class Viewpoint:
    """What is asked of a view. azimuth_deg: side from which to look, counter-clockwise around up, 0 is the side of the
    world's +x axis (of +y where x points up); the side that shows most if None. elevation_deg: height of the eye over
    the horizon, between -90 and 90, not included. zoom: 1 shows everything, 2 half as much each way.
    """

    azimuth_deg: float | None = None
    elevation_deg: float = 46.0
    zoom: float = 1.0


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


FROM_ABOVE = Viewpoint()


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


def choose_view(mesh: Triangles, up: Doubles, aspect: float, viewpoint: Viewpoint = FROM_ABOVE) -> View:
    """The view that is asked for; if no side is, the one in whose picture the front faces cover most.

    up: (3,) unit. aspect: width / height.
    """
    points, normals = _without_strays(*mesh.sample(20000))
    halves = _HALF_HEIGHT * np.array([aspect, 1.0])
    every_side = np.arange(_SIDES) * 360 / _SIDES
    azimuths_deg = every_side if viewpoint.azimuth_deg is None else [viewpoint.azimuth_deg]
    turns = np.radians([(azimuth_deg, viewpoint.elevation_deg) for azimuth_deg in azimuths_deg])
    views = [_fitted(points, _axes(up, *turn), halves, viewpoint.zoom) for turn in turns]
    return max(views, key=lambda view: _cover(points, normals, view)) if len(views) > 1 else views[0]


def _cover(points: Floats, normals: Floats, view: View) -> int:
    """Number of cells of a coarse picture in which some point faces the eye."""
    x, y, z = view.axes @ (points - view.eye)[np.einsum("nc,nc->n", normals, view.eye - points) > 0].T
    cells = np.stack((x / (z * view.half_width), y / (z * view.half_height))) * _CELLS
    return len(np.unique(np.floor(cells), axis=1).T)


def _without_strays(points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    kept = np.all((points >= low) & (points <= high), axis=1)
    return points[kept], normals[kept]


def _axes(up: Doubles, azimuth: float, elevation: float) -> Doubles:
    """Rows right, down, forward of an eye at these angles, in radians, that looks at the middle."""
    x, y, _ = np.eye(3)
    ahead = x if abs(up[0]) < _UPRIGHT_COSINE else y
    east = _unit(ahead - up * (up @ ahead))
    side = np.cos(azimuth) * east + np.sin(azimuth) * np.cross(up, east)
    forward = -np.cos(elevation) * side - np.sin(elevation) * up
    right = _unit(np.cross(forward, up))
    return np.stack((right, np.cross(forward, right), forward))


def _fitted(points: Floats, axes: Doubles, halves: Doubles, zoom: float) -> View:
    """The nearest eye that sees all points, with their outline in the middle of the picture; then zoomed.

    halves: (2,) half width and half height of the image at distance 1 before it is zoomed.
    """
    local = points.astype(np.float64) @ axes.T
    centre = local.mean(axis=0)
    for _ in range(8):
        across, along = local[:, :2] - centre[:2], local[:, 2] - centre[2]
        distance = max(float((np.abs(across) / halves - along[:, None]).max()), 1e-6)
        outline = across / (along + distance)[:, None]
        centre[:2] += (outline.max(axis=0) + outline.min(axis=0)) / 2 * distance
    eye = (centre - [0, 0, _MARGIN * distance]) @ axes
    return View(eye.astype(np.float32), axes.astype(np.float32), float(halves[0] / zoom), float(halves[1] / zoom))


def _unit(vector: Doubles) -> Doubles:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
