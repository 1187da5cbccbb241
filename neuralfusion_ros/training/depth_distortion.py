# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a depth camera in the same way in every frame: its calibration.

The error is smooth over the image and grows with the square of depth, as it does where a distance is found by
triangulation (Teichman et al., Unsupervised intrinsic calibration of depth sensors via SLAM, RSS 2013, show it for
structured light).
"""

from __future__ import annotations

import numpy as np

from neuralfusion_ros.training.sensor_noise import Image, smooth_field

_LARGEST_PER_M = 0.002
_SMOOTH_PX = 110  # for an image 640 wide


class DepthDistortion:
    """Of one camera. per_m: (height, width) float32, error in metres at a depth of one metre."""

    def __init__(self, per_m: Image) -> None:
        self.per_m = per_m

    def apply(self, depth_m: Image) -> Image:
        """Depth (height, width) in metres as that camera sees it; 0 stays 0."""
        return depth_m * np.maximum(1 + self.per_m * depth_m, np.float32(0.5))


def random_distortion(rng: np.random.Generator, shape: tuple[int, ...]) -> DepthDistortion | None:
    """Of every third camera; the others have none."""
    if rng.random() >= 1 / 3:
        return None
    sigma = np.float32(rng.uniform(0, _LARGEST_PER_M))
    return DepthDistortion(sigma * smooth_field(rng, shape, _SMOOTH_PX * shape[1] / 640))
