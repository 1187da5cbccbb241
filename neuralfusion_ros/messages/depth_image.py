# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image with depth, to and from metres (REP-118).

The few lines of numpy do what cv_bridge does, need no OpenCV and also check the sizes.
"""

from __future__ import annotations

import array
import sys

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from neuralfusion_ros.mapping.depth_encoding import DEPTH_ENCODINGS, MILLIMETRE_M, BadDepthImage, decode_depth_bytes
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import ns_to_stamp


def decode_depth(image: Image, depth_scale_m: float = MILLIMETRE_M) -> npt.NDArray[np.float32]:
    """(H, W) float32 depth in metres along the camera's z; 0 = no measurement.

    Takes 16UC1 and mono16, counted in steps of depth_scale_m, and 32FC1 in metres, in either byte order and with any
    padding at the end of rows. NaN, infinite and negative depths become 0.
    Raises BadMessage: 'encoding', 'size' or 'truncated'.
    """
    try:
        return decode_depth_bytes(
            image.data, (image.width, image.height), image.step, image.encoding, bool(image.is_bigendian), depth_scale_m
        )
    except BadDepthImage as error:
        raise BadMessage(error.reason, error.detail) from error


def encode_depth(
    depth_m: npt.NDArray[np.floating],
    stamp_ns: int,
    frame_id: str,
    encoding: str = "16UC1",
    depth_scale_m: float = MILLIMETRE_M,
) -> Image:
    """An Image of (H, W) depths in metres, where 0 = no measurement, in the byte order of this machine.

    16UC1 and mono16 count steps of depth_scale_m and have 0 for no measurement and for depths beyond their range.
    32FC1 holds metres and NaN for no measurement. Raises ValueError for another encoding.
    """
    if encoding not in DEPTH_ENCODINGS:
        raise ValueError(f"depth cannot be sent as '{encoding}', only as {', '.join(DEPTH_ENCODINGS)}")
    pixels = _in_metres(depth_m) if encoding == "32FC1" else _in_steps(depth_m, depth_scale_m)
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    image.header.stamp = ns_to_stamp(stamp_ns)
    image.header.frame_id = frame_id
    image.is_bigendian = int(sys.byteorder == "big")
    image.step = pixels.shape[1] * pixels.itemsize
    # rclpy checks any other type byte by byte in Python.
    image.data = array.array("B", pixels.tobytes())
    return image


def _in_metres(depth_m: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return np.where(depth_m > 0, depth_m, np.nan).astype(np.float32)


def _in_steps(depth_m: npt.NDArray[np.floating], depth_scale_m: float) -> npt.NDArray[np.uint16]:
    steps = np.rint(np.asarray(depth_m, dtype=np.float64) / depth_scale_m)
    # The comparison is also false for NaN.
    return np.where((steps > 0) & (steps <= np.iinfo(np.uint16).max), steps, 0).astype(np.uint16)
