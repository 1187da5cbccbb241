# SPDX-License-Identifier: Apache-2.0
"""What colour a surface has in a picture, before light falls on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.pictures.front_faces import Floats, Hits, Triangles

Paint: TypeAlias = Callable[[Hits], Floats]
"""(M, 3) colours, 0 to 1, of M points of a surface."""

# From the lowest to the highest points.
_HEIGHTS = np.array([[112, 142, 182], [144, 182, 190], [212, 212, 188], [238, 200, 152], [226, 156, 122]]) / 255
# From no distance to the limit.
_DISTANCES = np.array([[204, 214, 222], [250, 222, 140], [244, 150, 70], [206, 50, 44], [120, 8, 38]]) / 255
_PLAIN = np.array([0.80, 0.79, 0.76], np.float32)


def by_height(mesh: Triangles, up: npt.NDArray[np.float64]) -> Paint:
    """From blue for the lowest points of the mesh to red for the highest. up: (3,) unit."""
    upwards = up.astype(np.float32)
    lowest, highest = np.percentile(mesh.sample(20000)[0] @ upwards, (1, 99))
    return lambda hits: _between(_HEIGHTS, (hits.points @ upwards - lowest) / max(highest - lowest, 1e-6))


def by_normal(hits: Hits) -> Floats:
    """Red, green and blue for the world's x, y and z of the normal."""
    return 0.5 + 0.5 * hits.normals


def plain(hits: Hits) -> Floats:
    """The same light grey everywhere."""
    return np.tile(_PLAIN, (len(hits.points), 1))


def by_vertex(colours: Floats) -> Paint:
    """colours: (V, 3) of the mesh's vertices, 0 to 1."""
    return lambda hits: np.einsum("nk,nkc->nc", hits.weights, colours[hits.corners])


def by_distance(distances_m: Callable[[Floats], Floats], limit_m: float) -> Paint:
    """The colours of `distance_colours`. distances_m: gives (M,) distances of (M, 3) points."""
    return lambda hits: distance_colours(distances_m(hits.points) / limit_m)


def distance_colours(share: npt.NDArray[np.floating]) -> Floats:
    """(M, 3) colours of (M,) distances as shares of the largest that is told apart, from pale to dark red."""
    return _between(_DISTANCES, share)


def _between(colours: npt.NDArray[np.float64], share: npt.NDArray[np.floating]) -> Floats:
    steps = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, steps, channel) for channel in colours.T], axis=1).astype(np.float32)
