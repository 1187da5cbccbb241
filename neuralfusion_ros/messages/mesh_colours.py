# SPDX-License-Identifier: Apache-2.0
"""Colours that show the shape of a mesh in viewers that shade triangles flat or not at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.mesh_points import vertex_normals
from neuralfusion_ros.mapping.meshing import Mesh

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

# The colour runs through this circle once every PERIOD_M of height, so that it never depends on the rest of the map.
_CIRCLE = np.array([(0.23, 0.42, 0.75), (0.30, 0.69, 0.63), (0.93, 0.85, 0.50), (0.85, 0.47, 0.36), (0.55, 0.38, 0.65)])
PERIOD_M = 3.0
# From no uncertainty to the limit.
_UNCERTAINTIES = np.array(
    [(0.25, 0.45, 0.78), (0.55, 0.76, 0.72), (0.96, 0.88, 0.50), (0.92, 0.50, 0.27), (0.70, 0.10, 0.17)]
)
UNSURE_VOXELS = 0.5
_PLAIN = np.array([0.86, 0.84, 0.80])
_LIGHT = np.array([0.35, 0.25, 0.90])
_AMBIENT = 0.45


def mesh_colours(mesh: Mesh, choice: str = "height") -> Floats:
    """(V, 3) red, green and blue in 0..1. choice: one of SHAPE_COLOURS; the brightness shows the slope with all."""
    return SHAPE_COLOURS[choice](mesh.vertices.astype(np.float64), vertex_normals(mesh)).astype(np.float32)


def shaded(mesh: Mesh, hues: Floats) -> Floats:
    """(V, 3) colours of the vertices in 0..1, darkened by the slope of the surface."""
    return (hues * _brightness(vertex_normals(mesh))).astype(np.float32)


def uncertainty_colours(uncertainty: Floats) -> Floats:
    """(N,) uncertainties in voxels to (N, 3): from blue, 0, over yellow to dark red, UNSURE_VOXELS and more."""
    steps = np.linspace(0, UNSURE_VOXELS, len(_UNCERTAINTIES))
    channels = [np.interp(uncertainty, steps, channel) for channel in _UNCERTAINTIES.T]
    return np.stack(channels, axis=-1).astype(np.float32)


def _by_height(vertices: Doubles, normals: Doubles) -> Doubles:
    position = (vertices[:, 2] / PERIOD_M) % 1.0 * len(_CIRCLE)
    before = np.floor(position).astype(int) % len(_CIRCLE)
    fraction = (position % 1.0)[:, None]
    hue = (1 - fraction) * _CIRCLE[before] + fraction * _CIRCLE[(before + 1) % len(_CIRCLE)]
    return hue * _brightness(normals)


def _by_normal(vertices: Doubles, normals: Doubles) -> Doubles:
    """East red, north green, up blue; what looks the other way is dark in that colour."""
    return 0.5 + 0.5 * normals


def _plain(vertices: Doubles, normals: Doubles) -> Doubles:
    return _PLAIN * _brightness(normals)


def _brightness(normals: Doubles) -> Doubles:
    """(V, 1) as under a bright sky with the sun in one corner: no slope is black, and no two walls look the same."""
    towards_light = normals @ (_LIGHT / np.linalg.norm(_LIGHT))
    return (_AMBIENT + (1 - _AMBIENT) * (0.5 + 0.5 * towards_light))[:, None]


SHAPE_COLOURS: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "height": _by_height,
    "normal": _by_normal,
    "plain": _plain,
}
UNCERTAINTY, LATENT = "uncertainty", "latent"
COLOURS = (*SHAPE_COLOURS, UNCERTAINTY, LATENT)
