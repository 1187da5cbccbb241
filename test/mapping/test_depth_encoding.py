# SPDX-License-Identifier: Apache-2.0
"""Depth messages of both encodings and byte orders, with padded rows and invalid values."""

import numpy as np
import pytest

from neuralfusion_ros.mapping.depth_encoding import BadDepthImage, decode_depth_bytes


def padded_rows(pixels: np.ndarray, padding: int) -> np.ndarray:
    rows = pixels.view(np.uint8).reshape(len(pixels), -1)
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=255).reshape(-1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "code", "per_metre"), [("16UC1", "u2", 1000), ("mono16", "u2", 1000), ("32FC1", "f4", 1)]
)
def test_every_layout_gives_the_same_metres(order: str, padding: int, encoding: str, code: str, per_metre: int) -> None:
    depth_m = np.array([[0, 1, 2.5], [0.001, 9, 65.535]], np.float32)
    data = padded_rows(
        np.rint(depth_m * 1000).astype(order + code) if per_metre == 1000 else depth_m.astype(order + code), padding
    )
    step = len(data) // 2
    decoded = decode_depth_bytes(data, (3, 2), step, encoding, order == ">")
    np.testing.assert_allclose(decoded, depth_m, rtol=1e-6)
    assert decoded.dtype == np.float32


def test_floats_that_are_no_depth_become_zero() -> None:
    pixels = np.array([[np.nan, np.inf, -np.inf, -1, 0, 2]], "<f4")
    np.testing.assert_array_equal(
        decode_depth_bytes(pixels.view(np.uint8).ravel(), (6, 1), 24, "32FC1", False), [[0, 0, 0, 0, 0, 2]]
    )


@pytest.mark.parametrize(
    ("size", "step", "encoding", "reason"),
    [(11, 6, "16UC1", "truncated"), (13, 6, "16UC1", "size"), (12, 5, "16UC1", "size"), (12, 6, "rgb8", "encoding")],
)
def test_inconsistent_messages_are_refused(size: int, step: int, encoding: str, reason: str) -> None:
    with pytest.raises(BadDepthImage) as caught:
        decode_depth_bytes(np.zeros(size, np.uint8), (3, 2), step, encoding, False)
    assert caught.value.reason == reason
