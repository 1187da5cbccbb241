# SPDX-License-Identifier: Apache-2.0
"""Depth PNG files: right values, and damaged files told apart from good ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neuralfusion_ros.datasets.depth_png import read_depth_png, to_millimetres, write_depth_png
from neuralfusion_ros.datasets.usable_frames import UnusableFrame
from neuralfusion_ros.mapping.camera import PinholeCamera

CAMERA = PinholeCamera(8, 6, 1, 1, 0, 0)
DEPTH_MM = np.arange(48).reshape(6, 8) * 1394


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "depth.png"
    write_depth_png(path, (DEPTH_MM / 1000).astype(np.float32))
    return path


def test_millimetres_come_back_exactly(image: Path) -> None:
    depth_m = read_depth_png(image, CAMERA, 1000)
    assert depth_m.dtype == np.float32
    np.testing.assert_array_equal(np.rint(depth_m.astype(np.float64) * 1000), DEPTH_MM)


def test_depth_scale_divides(image: Path) -> None:
    np.testing.assert_allclose(read_depth_png(image, CAMERA, 5000), DEPTH_MM / 5000, rtol=1e-6)


def test_what_does_not_fit_becomes_unmeasured() -> None:
    depth_m = np.array([[0.0004, 0.0006, 65.535, 65.6, np.nan, np.inf, -1]], np.float32)
    np.testing.assert_array_equal(to_millimetres(depth_m), [[0, 1, 65535, 0, 0, 0, 0]])


def test_other_size_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 65536, (60, 90)).astype(np.uint16)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UnusableFrame, match="90x60") as caught:
        read_depth_png(path, CAMERA, 1000)
    assert caught.value.reason == "size"


@pytest.mark.parametrize("pixels", [np.zeros((6, 8), np.uint8), np.zeros((6, 8, 3), np.uint8)])
def test_images_of_8_bits_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    with pytest.raises(UnusableFrame) as caught:
        read_depth_png(tmp_path / "colour.png", CAMERA, 1000)
    assert caught.value.reason == "not 16-bit"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnusableFrame) as caught:
        read_depth_png(tmp_path / "none.png", CAMERA, 1000)
    assert caught.value.reason == "unreadable image"


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_never_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    write_depth_png(path, (DEPTH_MM / 1000).astype(np.float32))
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert read_depth_png(path, CAMERA, 1000).shape == (6, 8)
    except UnusableFrame as error:
        assert error.reason in ("unreadable image", "size", "not 16-bit")
