# SPDX-License-Identifier: Apache-2.0
"""The bytes of a depth image message, as REP-118 defines them, to metres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# encoding -> (numpy type without byte order, units per metre)
_ENCODINGS = {"16UC1": ("u2", 1000.0), "mono16": ("u2", 1000.0), "32FC1": ("f4", 1.0)}
DEPTH_ENCODINGS = frozenset(_ENCODINGS)


def decode_depth(
    data: npt.NDArray[np.uint8], height: int, width: int, step: int, encoding: str, is_bigendian: bool
) -> npt.NDArray[np.float32]:
    """The (height, width) float32 depth in metres; 0 where nothing was measured.

    data: the message's bytes, rows of `step` bytes; padding at the end of a row is skipped.
    Raises ValueError when the encoding holds no depth or the data is too short.
    """
    if encoding not in _ENCODINGS:
        raise ValueError(f"encoding {encoding!r} is not one of {', '.join(sorted(_ENCODINGS))}")
    code, units_per_metre = _ENCODINGS[encoding]
    dtype = np.dtype(code).newbyteorder(">" if is_bigendian else "<")
    row_bytes = width * dtype.itemsize
    if step < row_bytes or data.nbytes < step * (height - 1) + row_bytes:
        raise ValueError(f"{data.nbytes} bytes in rows of {step} are too few for a {width}x{height} {encoding} image")
    raw = np.ndarray((height, width), dtype, buffer=np.ascontiguousarray(data), strides=(step, dtype.itemsize))
    depth_m = raw.astype(np.float32)
    if dtype.kind == "u":
        return depth_m / np.float32(units_per_metre)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = 0.0
    return depth_m
