# SPDX-License-Identifier: Apache-2.0
"""The table of a lens, held against a plain loop, and what becomes of a plane seen through it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.rectification import Distortion, rectification_table, rectify

CAMERA = PinholeCamera(64, 48, 40.0, 42.0, 30.2, 24.9)
LENSES = {
    "barrel": Distortion(-0.3, 0.08, 0.001, -0.002, 0.01),
    "pincushion": Distortion(0.2, 0.05),
    "rational": Distortion(5.2, 3.1, 1e-4, 2e-5, 0.15, 5.5, 4.7, 0.8),
}


def expected_pixel(u, v, lens):
    """The pixel of the lens for one pixel of the pinhole camera, or None."""
    x, y = (u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy
    r2 = x**2 + y**2
    radial = (1 + lens.k1 * r2 + lens.k2 * r2**2 + lens.k3 * r2**3) / (
        1 + lens.k4 * r2 + lens.k5 * r2**2 + lens.k6 * r2**3
    )
    x_seen = x * radial + 2 * lens.p1 * x * y + lens.p2 * (r2 + 2 * x**2)
    y_seen = y * radial + lens.p1 * (r2 + 2 * y**2) + 2 * lens.p2 * x * y
    column = math.floor(CAMERA.fx * x_seen + CAMERA.cx + 0.5)
    row = math.floor(CAMERA.fy * y_seen + CAMERA.cy + 0.5)
    return (row, column) if 0 <= column < CAMERA.width and 0 <= row < CAMERA.height else None


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_the_table_does_what_a_plain_loop_does(lens):
    depth_m = np.random.default_rng(0).uniform(1, 4, (48, 64)).astype(np.float32)
    expected = np.zeros_like(depth_m)
    for v in range(48):
        for u in range(64):
            pixel = expected_pixel(u, v, lens)
            if pixel is not None:
                expected[v, u] = depth_m[pixel]
    np.testing.assert_array_equal(rectify(depth_m, CAMERA, lens), expected)
    assert (expected == 0).any() or lens is not LENSES["pincushion"]


def test_a_lens_without_distortion_changes_nothing():
    depth_m = np.random.default_rng(1).uniform(1, 4, (48, 64)).astype(np.float32)
    np.testing.assert_array_equal(rectify(depth_m, CAMERA, Distortion()), depth_m)


def test_a_slanted_plane_seen_through_the_lens_becomes_a_plane_again():
    """Depth that the lens sees, made by solving for the ray of every one of its pixels."""
    lens, (v, u) = LENSES["barrel"], np.mgrid[:48, :64].astype(np.float64)
    x_seen, y_seen = (u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy
    x, y = x_seen.copy(), y_seen.copy()
    for _ in range(200):
        x_now, y_now = lens.apply(x, y)
        x, y = x - 0.5 * (x_now - x_seen), y - 0.5 * (y_now - y_seen)
    rectified = rectify((2 / (1 - 0.2 * x - 0.1 * y)).astype(np.float32), CAMERA, lens)
    plane = 2 / (1 - 0.2 * x_seen - 0.1 * y_seen)
    measured = rectified > 0
    assert measured.mean() > 0.95
    assert np.abs(rectified - plane)[measured].max() < 0.03
    assert np.abs(2 / (1 - 0.2 * x - 0.1 * y) - plane).max() > 0.1, "without it the plane is bent"


def test_where_the_polynomial_turns_back_nothing_is_seen():
    lens = Distortion(k1=-0.9)  # r (1 - 0.9 r^2) has its maximum at r = 0.609
    assert lens.valid_radius(2.0) == pytest.approx(0.6086, abs=2e-3)
    table = rectification_table(CAMERA, lens)
    v, u = np.mgrid[:48, :64]
    radius = np.hypot((u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy)
    assert (table[radius > 0.62] == 48 * 64).all() and (table[radius < 0.6] < 48 * 64).all()


def test_the_table_is_computed_once():
    assert rectification_table(CAMERA, LENSES["barrel"]) is rectification_table(CAMERA, Distortion(*vars_of("barrel")))


def vars_of(name):
    lens = LENSES[name]
    return lens.k1, lens.k2, lens.p1, lens.p2, lens.k3, lens.k4, lens.k5, lens.k6
