# SPDX-License-Identifier: Apache-2.0
"""Depth images as 16-bit PNG files."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from neuralfusion_ros.datasets.usable_frames import UnusableFrame, check_size
from neuralfusion_ros.mapping.camera import PinholeCamera

# What Pillow raises for files that are missing, truncated or damaged.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, zlib.error, Image.DecompressionBombError)


def read_depth_png(path: Path, camera: PinholeCamera, depth_scale: float) -> npt.NDArray[np.float32]:
    """The (H, W) depth in metres of a 16-bit PNG that stores depth_scale units per metre.

    Raises UnusableFrame when the file cannot be read, is not 16-bit grey or not of the camera's size.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            check_size(camera, *image.size)
            if image.mode != "I;16":
                raise UnusableFrame("not 16-bit", f"{path} is not a 16-bit grey image")
            raw = np.asarray(image)
    except _UNREADABLE as error:
        raise UnusableFrame("unreadable image", f"{path} cannot be read: {error}") from error
    return raw.astype(np.float32) / np.float32(depth_scale)


def write_depth_png(path: Path, depth_m: npt.NDArray[np.float32]) -> None:
    """Write (H, W) depth in metres as a 16-bit PNG in millimetres."""
    Image.fromarray(to_millimetres(depth_m)).save(path, format="PNG", compress_level=1)


def to_millimetres(depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Depth in metres to whole millimetres. What does not fit (beyond 65.535 m, not finite) becomes 0, unmeasured."""
    depth_mm = np.rint(depth_m * np.float32(1000.0))
    fits = (depth_mm >= 0) & (depth_mm <= np.iinfo(np.uint16).max)
    return np.where(fits, depth_mm, 0).astype(np.uint16)
