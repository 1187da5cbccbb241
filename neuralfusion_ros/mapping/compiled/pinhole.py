# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera as kernels read it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neuralfusion_ros.mapping.camera import PinholeCamera


class Pinhole(NamedTuple):
    """The fields of PinholeCamera in single precision."""

    width: int
    height: int
    fx: np.float32
    fy: np.float32
    cx: np.float32
    cy: np.float32


def pinhole_of(camera: PinholeCamera) -> Pinhole:
    fx, fy, cx, cy = (np.float32(k) for k in (camera.fx, camera.fy, camera.cx, camera.cy))
    return Pinhole(camera.width, camera.height, fx, fy, cx, cy)
