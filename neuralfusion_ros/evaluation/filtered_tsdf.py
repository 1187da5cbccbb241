# SPDX-License-Identifier: Apache-2.0
"""A TSDF smoothed after the fusion, in three dimensions: the cheap remedy for noise that a network has to beat.

Only voxels that are known change, and only known neighbours count, so that a filter invents no surface.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from neuralfusion_ros.evaluation.method import BoolArray

Volume = npt.NDArray[np.float32]
GAUSSIAN_VOXELS = 1.0
_AT_ONCE = 1 << 18


def median_filtered(tsdf: Volume, known: BoolArray) -> Volume:
    """(X, Y, Z) distances in truncations, each voxel of the band the median of its known 3x3x3 neighbourhood.

    The band is where the distance is smaller than one truncation, or a neighbour's is.
    """
    values = np.pad(np.where(known, tsdf, np.nan), 1, constant_values=np.nan)
    band = known & _near_band(tsdf, known)
    strides = np.array(values.strides) // values.itemsize
    steps = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ strides
    flat, result = values.reshape(-1), tsdf.copy()
    where = np.argwhere(band)
    for some in np.split(where, range(_AT_ONCE, len(where), _AT_ONCE)):
        around = np.sort(flat[((some + 1) @ strides)[:, None] + steps], axis=1)  # NaN comes last
        count = np.isfinite(around).sum(1)
        row = np.arange(len(some))
        result[tuple(some.T)] = (around[row, (count - 1) // 2] + around[row, count // 2]) / 2
    return result


def gaussian_filtered(tsdf: Volume, known: BoolArray) -> Volume:
    """(X, Y, Z) distances in truncations, averaged over known neighbours with a Gaussian of one voxel."""
    weight = gaussian_filter(known.astype(np.float32), GAUSSIAN_VOXELS, mode="constant")
    total = gaussian_filter(np.where(known, tsdf, np.float32(0)), GAUSSIAN_VOXELS, mode="constant")
    smooth: Volume = np.where(known, total / np.maximum(weight, np.float32(1e-6)), tsdf)
    return smooth


def _near_band(tsdf: Volume, known: BoolArray) -> BoolArray:
    inside = np.pad(known & (np.abs(tsdf) < 1), 1)
    for axis in range(3):
        inside |= np.roll(inside, 1, axis) | np.roll(inside, -1, axis)
    near: BoolArray = inside[1:-1, 1:-1, 1:-1]
    return near


FILTERS: dict[str, Callable[[Volume, BoolArray], Volume]] = {
    "median": median_filtered,
    "gauss": gaussian_filtered,
}
