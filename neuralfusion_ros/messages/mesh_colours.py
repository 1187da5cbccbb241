# SPDX-License-Identifier: Apache-2.0
"""Colours that show the shape of a mesh in viewers that shade triangles flat or not at all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.mesh_points import vertex_normals
from neuralfusion_ros.mapping.meshing import Mesh

# The colour runs through this circle once every PERIOD_M of height, so that it never depends on the rest of the map.
_CIRCLE = np.array([(0.23, 0.42, 0.75), (0.30, 0.69, 0.63), (0.93, 0.85, 0.50), (0.85, 0.47, 0.36), (0.55, 0.38, 0.65)])
PERIOD_M = 3.0
_LIGHT = np.array([0.35, 0.25, 0.90])
_AMBIENT = 0.45


def mesh_colours(mesh: Mesh) -> npt.NDArray[np.float32]:
    """(V, 3) red, green and blue in 0..1: the hue from the height, the brightness from the normal."""
    hue = _by_height(mesh.vertices[:, 2])
    towards_light = vertex_normals(mesh) @ (_LIGHT / np.linalg.norm(_LIGHT))
    brightness = _AMBIENT + (1 - _AMBIENT) * (0.5 + 0.5 * towards_light)
    return (hue * brightness[:, None]).astype(np.float32)


def _by_height(height_m: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    position = (height_m / PERIOD_M) % 1.0 * len(_CIRCLE)
    before = np.floor(position).astype(int) % len(_CIRCLE)
    fraction = (position % 1.0)[:, None]
    return (1 - fraction) * _CIRCLE[before] + fraction * _CIRCLE[(before + 1) % len(_CIRCLE)]
