# SPDX-License-Identifier: Apache-2.0
"""Errors that stay from frame to frame, which no averaging removes: calibration of the camera, drift of its poses."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.sensor_noise import Image, smooth_field

_DRIFT_FRAMES = 6.0


def depth_distortion(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Image:
    """(H, W) factors on the depth of a camera: a wrong scale, and a smooth error across the image.

    share: standard deviation of each of the two, relative to depth.
    """
    scale = 1 + share * rng.standard_normal()
    return (np.float32(scale) + np.float32(share) * smooth_field(rng, shape, shape[1] / 4)).astype(np.float32)


def tracked(
    T_world_camera: NDArray[np.float64],
    rng: np.random.Generator,
    jitter: tuple[float, float],
    drift: tuple[float, float],
) -> NDArray[np.float64]:
    """(F, 4, 4) poses as a tracker gives them: Gaussian errors in the camera's frame.

    jitter: independent from frame to frame; drift: about constant over six frames. Both are standard deviations per
    axis, of the position in metres and of the direction in radians.
    """
    result = T_world_camera.copy()
    frames = len(result)
    errors = [
        jitter[k] * rng.standard_normal((frames, 3)) + drift[k] * _slow_signal(rng, frames) for k in range(len(jitter))
    ]
    for pose, shift_m, turn_rad in zip(result, *errors, strict=True):
        error = np.eye(4)
        error[:3, :3] = Rotation.from_rotvec(turn_rad).as_matrix()
        error[:3, 3] = shift_m
        pose[:] = pose @ error
    return result


def _slow_signal(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """(F, 3) with variance 1."""
    margin = int(4 * _DRIFT_FRAMES)
    noise = rng.standard_normal((frames + 2 * margin, 3))
    smooth = gaussian_filter1d(noise, _DRIFT_FRAMES, axis=0)[margin : margin + frames]
    return cast(NDArray[np.float64], smooth * np.sqrt(2 * np.sqrt(np.pi) * _DRIFT_FRAMES))
