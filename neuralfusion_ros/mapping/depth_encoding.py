# SPDX-License-Identifier: Apache-2.0
"""The pixels of a depth image message, as REP-118 defines them, to metres. For live messages and for recordings."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

MILLIMETRE_M = 0.001
# encoding -> numpy type without byte order
DEPTH_ENCODINGS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}


class BadDepthImage(ValueError):
    """The bytes are not the depth image they claim to be.

    reason: 'encoding', 'size' or 'truncated', made for counters. detail: one sentence that says what is wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def decode_depth_bytes(
    data: bytes | array[int] | npt.NDArray[np.uint8],
    size: tuple[int, int],
    step: int,
    encoding: str,
    is_bigendian: bool,
    depth_scale_m: float = MILLIMETRE_M,
) -> npt.NDArray[np.float32]:
    """The (H, W) float32 depth in metres along the camera's z; 0 = no measurement.

    data: the message's bytes, in rows of `step` bytes; padding at the end of a row is skipped. size: (width, height).
    16UC1 and mono16 count steps of depth_scale_m, 32FC1 holds metres. NaN, infinite and negative depths become 0.
    Raises BadDepthImage.
    """
    pixels = _pixels(data, size, step, encoding, is_bigendian)
    depth_m = pixels.astype(np.float32)
    if pixels.dtype.kind == "u":
        depth_m /= np.float32(1 / depth_scale_m)  # 1000 is exact, 0.001 is not
        return depth_m
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = 0
    return depth_m


def _pixels(
    data: bytes | array[int] | npt.NDArray[np.uint8],
    size: tuple[int, int],
    step: int,
    encoding: str,
    is_bigendian: bool,
) -> npt.NDArray[np.generic]:
    """(H, W) raw pixels, a view of the bytes."""
    if encoding not in DEPTH_ENCODINGS:
        raise BadDepthImage("encoding", f"A depth image cannot have the encoding '{encoding}'.")
    dtype = np.dtype((">" if is_bigendian else "<") + DEPTH_ENCODINGS[encoding])
    width, height = size
    if height == 0 or width == 0:
        raise BadDepthImage("size", f"The depth image is empty ({width}x{height}).")
    if step < width * dtype.itemsize:
        raise BadDepthImage("size", f"A row of {step} bytes cannot hold {width} pixels of {encoding}.")
    content = np.frombuffer(data, dtype=np.uint8)
    if len(content) < step * height:
        raise BadDepthImage("truncated", f"The depth image has {len(content)} of {step * height} bytes.")
    if len(content) > step * height:
        raise BadDepthImage("size", f"The depth image has {len(content)} bytes instead of {step * height}.")
    return np.ndarray((height, width), dtype, buffer=content, strides=(step, dtype.itemsize))
