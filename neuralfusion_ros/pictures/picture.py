# SPDX-License-Identifier: Apache-2.0
"""A picture of a mesh, without display or GPU: by ray casting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter, zoom

from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.pictures.front_faces import Floats, FrontFaces, Hits, Triangles, unit
from neuralfusion_ros.pictures.surface_colours import Paint, by_height
from neuralfusion_ros.pictures.viewpoint import FROM_ABOVE, View, Viewpoint, choose_view, levelled

Pixels = npt.NDArray[np.uint8]
Advance: TypeAlias = Callable[[int], object]
"""Hears how many more steps are done."""

SIZE = (1280, 960)
BACKGROUND = np.array([0.98, 0.98, 0.99], np.float32)
# Where in a pixel further rays go if it lies on an edge.
_SHIFTS = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
_EDGE_CONTRAST = 0.06
_SHADE_RAYS = 16
_SHADE_REACH_M = 0.5
_SEEING_STEPS = 8  # the picture without smoothed edges takes as long as so many rays for the shade
DRAWING_STEPS = _SHADE_RAYS + _SEEING_STEPS + len(_SHIFTS)


def _nobody(_: int) -> None:
    pass


@dataclass(frozen=True)
class Scene:
    """How a mesh is seen. up: (3,) unit, whence most light falls. size: width, height. both_sides: as in FrontFaces."""

    view: View
    up: npt.NDArray[np.float64]
    size: tuple[int, int]
    both_sides: bool = False


def render_mesh(
    mesh: Mesh,
    up: npt.ArrayLike = (0.0, 0.0, 1.0),
    size: tuple[int, int] = SIZE,
    viewpoint: Viewpoint = FROM_ABOVE,
    paint: Paint | None = None,
    both_sides: bool = False,
    advance: Advance = _nobody,
) -> Pixels:
    """(height, width, 3) picture of a mesh with at least one triangle.

    up: (3,) of any length, about upwards in the world. size: width, height. paint: by height if None. Triangles that
    face away from the eye are left out, so one looks into a room through its ceiling and near walls; both_sides keeps
    them. advance: hears how many more of DRAWING_STEPS are done. The same mesh gives the same picture.
    """
    triangles = Triangles(mesh.vertices, mesh.triangles)
    level_up = levelled(triangles, up)
    view = choose_view(triangles, level_up, size[0] / size[1], viewpoint)
    return draw(triangles, Scene(view, level_up, size, both_sides), paint or by_height(triangles, level_up), advance)


def draw(mesh: Triangles, scene: Scene, paint: Paint, advance: Advance = _nobody) -> Pixels:
    """(height, width, 3) picture of a mesh, which may be empty, so that several can be seen in the same way."""
    return _Picture(mesh, scene, paint, advance).pixels()


def save_picture(path: Path, pixels: Pixels) -> None:
    """Write a PNG file, aside and then renamed."""
    with new_file(path) as aside:
        Image.fromarray(pixels).save(aside, format="PNG")


class _Picture:
    def __init__(self, mesh: Triangles, scene: Scene, paint: Paint, advance: Advance) -> None:
        self._faces = FrontFaces(mesh, scene.view.eye, scene.both_sides)
        self._view, self._size, self._up = scene.view, scene.size, scene.up.astype(np.float32)
        self._paint, self._advance = paint, advance

    def pixels(self) -> Pixels:
        """All of the picture, with the edges smoothed by further rays."""
        width, height = self._size
        open_sky = self._openness().reshape(-1)
        colours = self._colours(self._view.rays(width, height), open_sky)
        self._advance(_SEEING_STEPS)
        edge = _edges(colours.reshape(height, width, 3)).reshape(-1)
        more = []
        for shift in _SHIFTS:
            more.append(self._colours(self._view.rays(width, height, shift)[edge], open_sky[edge]))
            self._advance(1)
        colours[edge] = np.mean(more, axis=0)
        return np.rint(255 * colours.clip(0, 1)).astype(np.uint8).reshape(height, width, 3)

    def _colours(self, rays: Floats, open_sky: Floats) -> Floats:
        """(N, 3) colours that rays (N, 3) see. open_sky: (N,) 0 in a deep corner to 1."""
        hits = self._faces.hits(self._view.eye, rays)
        colours = np.tile(BACKGROUND, (len(rays), 1))
        light = self._light(hits, rays[hits.hit]) * (0.4 + 0.6 * open_sky[hits.hit])
        colours[hits.hit] = self._paint(hits) * light[:, None]
        return colours

    def _light(self, hits: Hits, rays: Floats) -> Floats:
        """(M,) light from the eye, and from a lamp above it to the left."""
        right, _, forward = self._view.axes
        lamp = unit((0.7 * self._up - 0.8 * forward - 0.5 * right)[None])[0]
        from_eye = np.abs(np.einsum("nc,nc->n", hits.normals, unit(rays)))
        return 0.32 + 0.35 * from_eye + 0.48 * (hits.normals @ lamp).clip(0, 1)

    def _openness(self) -> Floats:
        """(height, width) share of the surroundings that each surface point sees, from half as many pixels each way."""
        width, height = (-(-length // 2) for length in self._size)
        hits = self._faces.hits(self._view.eye, self._view.rays(width, height))
        rng = np.random.default_rng(0)
        total = np.zeros(len(hits.points), np.float32)
        for _ in range(_SHADE_RAYS):
            # A point on the unit sphere around the normal's tip: rays by the cosine to the normal.
            rays = unit(hits.normals + unit(rng.standard_normal(hits.normals.shape, np.float32)))
            total += (self._faces.distances(hits.points + 0.01 * hits.normals, rays) / _SHADE_REACH_M).clip(0, 1)
            self._advance(1)
        hit = hits.hit.reshape(height, width).astype(np.float32)
        openness = np.zeros_like(hit)
        openness[hit > 0] = total / _SHADE_RAYS
        smooth = gaussian_filter(openness, 1.2) / np.maximum(gaussian_filter(hit, 1.2), 1e-3)
        return zoom(smooth, 2, order=1)[: self._size[1], : self._size[0]]


def _edges(colours: Floats) -> npt.NDArray[np.bool_]:
    """(H, W) pixels that differ from a neighbour."""
    grey = colours.mean(axis=2)
    return maximum_filter(grey, 3) - minimum_filter(grey, 3) > _EDGE_CONTRAST
