# SPDX-License-Identifier: Apache-2.0
"""One level layer of the translated map, to look into it."""

from __future__ import annotations

import math

import numpy as np

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE
from neuralfusion_ros.mapping.surface_map import SurfaceMap, SurfaceVoxels

_ON_THE_EDGE = 1e-6  # of a voxel; a height that is a multiple of the voxel size belongs to the layer above it


def tsdf_slice(surface: SurfaceMap, height_m: float) -> SurfaceVoxels:
    """Observed voxels of the one layer that holds `height_m` (z), closer than one truncation distance to a surface."""
    size_m, keys = surface.grid.voxel_size_m, surface.grid.keys
    layer = math.floor(height_m / size_m + _ON_THE_EDGE)
    found = surface.surface_voxels(keys[keys[:, 2] == layer // BLOCK_SIZE])
    inside = np.floor(found.positions_m[:, 2] / size_m) == layer
    return SurfaceVoxels(found.positions_m[inside], found.tsdf_m[inside], found.weight[inside], found.occupancy[inside])
