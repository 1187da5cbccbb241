# SPDX-License-Identifier: Apache-2.0
"""Colours that show the shape of a mesh in viewers that shade triangles flat or not at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.mesh_points import vertex_normals
from neuralfusion_ros.mapping.meshing import Mesh

Floats = npt.NDArray[np.float32]

# The colour runs through this circle once every PERIOD_M of height, so that it never depends on the rest of the map.
_CIRCLE = np.array([(0.23, 0.42, 0.75), (0.30, 0.69, 0.63), (0.93, 0.85, 0.50), (0.85, 0.47, 0.36), (0.55, 0.38, 0.65)])
PERIOD_M = 3.0
_HUES_PER_M = 1000
# From no uncertainty to the limit.
_UNCERTAINTIES = np.array(
    [(0.25, 0.45, 0.78), (0.55, 0.76, 0.72), (0.96, 0.88, 0.50), (0.92, 0.50, 0.27), (0.70, 0.10, 0.17)]
)
UNSURE_VOXELS = 0.5
_PLAIN = np.array([0.86, 0.84, 0.80], np.float32)
_LIGHT = np.array([0.35, 0.25, 0.90], np.float32)
_AMBIENT = 0.45


def mesh_colours(mesh: Mesh, choice: str = "height") -> Floats:
    """(V, 3) red, green and blue in 0..1. choice: one of SHAPE_COLOURS; the brightness shows the slope with all."""
    return SHAPE_COLOURS[choice](mesh.vertices, vertex_normals(mesh))


def shaded(mesh: Mesh, hues: Floats) -> Floats:
    """(V, 3) colours of the vertices in 0..1, darkened by the slope of the surface."""
    return hues * _brightness(vertex_normals(mesh))


def uncertainty_colours(uncertainty: Floats) -> Floats:
    """(N,) uncertainties in voxels to (N, 3): from blue, 0, over yellow to dark red, UNSURE_VOXELS and more."""
    steps = np.linspace(0, UNSURE_VOXELS, len(_UNCERTAINTIES))
    channels = [np.interp(uncertainty, steps, channel) for channel in _UNCERTAINTIES.T]
    return np.stack(channels, axis=-1).astype(np.float32)


def _by_height(vertices: Floats, normals: Floats) -> Floats:
    step = np.floor(vertices[:, 2] * np.float32(_HUES_PER_M)).astype(np.int64) % len(_HUES)
    return _HUES.take(step, axis=0) * _brightness(normals)


def _hues() -> Floats:
    """(PERIOD_M * _HUES_PER_M, 3) colours of one turn through the circle."""
    corners = np.concatenate((_CIRCLE, _CIRCLE[:1]))
    at = np.linspace(0, len(_CIRCLE), round(PERIOD_M * _HUES_PER_M), endpoint=False)
    channels = [np.interp(at, np.arange(len(corners)), channel) for channel in corners.T]
    return np.stack(channels, axis=-1).astype(np.float32)


_HUES = _hues()


def _by_normal(vertices: Floats, normals: Floats) -> Floats:
    """East red, north green, up blue; what looks the other way is dark in that colour."""
    return 0.5 + 0.5 * normals


def _plain(vertices: Floats, normals: Floats) -> Floats:
    return _PLAIN * _brightness(normals)


def _brightness(normals: Floats) -> Floats:
    """(V, 1) as under a bright sky with the sun in one corner: no slope is black, and no two walls look the same."""
    towards_light = normals @ (_LIGHT / np.linalg.norm(_LIGHT))
    return np.asarray(_AMBIENT + (1 - _AMBIENT) * (0.5 + 0.5 * towards_light))[:, None]


SHAPE_COLOURS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "height": _by_height,
    "normal": _by_normal,
    "plain": _plain,
}
UNCERTAINTY, LATENT = "uncertainty", "latent"
COLOURS = (*SHAPE_COLOURS, UNCERTAINTY, LATENT)
