# SPDX-License-Identifier: Apache-2.0
"""A picture of a mesh, without display or GPU: by ray casting, coloured by height."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter, zoom

from neuralfusion_ros.commands.front_faces import Floats, FrontFaces, Hits, Triangles, unit
from neuralfusion_ros.commands.viewpoint import View, choose_view, levelled
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.new_file import new_file

Pixels = npt.NDArray[np.uint8]

SIZE = (1280, 960)
_BACKGROUND = np.array([0.98, 0.98, 0.99], np.float32)
# From the lowest to the highest points.
_COLOURS = np.array([[112, 142, 182], [144, 182, 190], [212, 212, 188], [238, 200, 152], [226, 156, 122]]) / 255
# Where in a pixel further rays go if it lies on an edge.
_SHIFTS = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
_EDGE_CONTRAST = 0.06
_SHADE_RAYS = 16
_SHADE_REACH_M = 0.5


def render_mesh(mesh: Mesh, up: npt.ArrayLike = (0.0, 0.0, 1.0), size: tuple[int, int] = SIZE) -> Pixels:
    """(height, width, 3) picture of a mesh with at least one triangle.

    up: (3,) of any length, about upwards in the world. size: width, height. Triangles that face away from the eye
    are left out, so one looks into a room through its ceiling and near walls. The same mesh gives the same picture.
    """
    triangles = Triangles(mesh.vertices, mesh.triangles)
    level_up = levelled(triangles, up)
    view = choose_view(triangles, level_up, size[0] / size[1])
    return _Picture(triangles, view, level_up, size).pixels()


def save_picture(path: Path, pixels: Pixels) -> None:
    """Write a PNG file, aside and then renamed."""
    with new_file(path) as aside:
        Image.fromarray(pixels).save(aside, format="PNG")


class _Picture:
    def __init__(self, mesh: Triangles, view: View, up: npt.NDArray[np.float64], size: tuple[int, int]) -> None:
        self._faces = FrontFaces(mesh, view.eye)
        self._view, self._size, self._up = view, size, up.astype(np.float32)
        self._lowest, self._highest = np.percentile(mesh.sample(20000) @ self._up, (1, 99))

    def pixels(self) -> Pixels:
        """All of the picture, with the edges smoothed by further rays."""
        width, height = self._size
        open_sky = self._openness().reshape(-1)
        colours = self._colours(self._view.rays(width, height), open_sky)
        edge = _edges(colours.reshape(height, width, 3)).reshape(-1)
        more = [self._colours(self._view.rays(width, height, shift)[edge], open_sky[edge]) for shift in _SHIFTS]
        colours[edge] = np.mean(more, axis=0)
        return np.rint(255 * colours.clip(0, 1)).astype(np.uint8).reshape(height, width, 3)

    def _colours(self, rays: Floats, open_sky: Floats) -> Floats:
        """(N, 3) colours that rays (N, 3) see. open_sky: (N,) 0 in a deep corner to 1."""
        hits = self._faces.hits(self._view.eye, rays)
        colours = np.tile(_BACKGROUND, (len(rays), 1))
        height = (hits.points @ self._up - self._lowest) / max(self._highest - self._lowest, 1e-6)
        steps = np.linspace(0, 1, len(_COLOURS))
        surface = np.stack([np.interp(height, steps, channel) for channel in _COLOURS.T], axis=1)
        light = self._light(hits, rays[hits.hit]) * (0.4 + 0.6 * open_sky[hits.hit])
        colours[hits.hit] = surface * light[:, None]
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
        hit = hits.hit.reshape(height, width).astype(np.float32)
        openness = np.zeros_like(hit)
        openness[hit > 0] = total / _SHADE_RAYS
        smooth = gaussian_filter(openness, 1.2) / np.maximum(gaussian_filter(hit, 1.2), 1e-3)
        return zoom(smooth, 2, order=1)[: self._size[1], : self._size[0]]


def _edges(colours: Floats) -> npt.NDArray[np.bool_]:
    """(H, W) pixels that differ from a neighbour."""
    grey = colours.mean(axis=2)
    return maximum_filter(grey, 3) - minimum_filter(grey, 3) > _EDGE_CONTRAST
