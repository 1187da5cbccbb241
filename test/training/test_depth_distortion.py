# SPDX-License-Identifier: Apache-2.0
"""A camera's calibration error grows with the square of depth and leaves pixels without depth alone."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.training.depth_distortion import DepthDistortion, random_distortion

SHAPE = (48, 64)


def test_it_grows_with_the_square_of_depth():
    distortion = DepthDistortion(np.full(SHAPE, 0.002, np.float32))
    for depth_m in (0.0, 1.0, 3.0):
        seen_m = distortion.apply(np.full(SHAPE, depth_m, np.float32))
        assert seen_m.dtype == np.float32
        assert seen_m - depth_m == pytest.approx(0.002 * depth_m**2, abs=1e-6)


def test_far_away_it_stays_in_front_of_the_camera():
    distortion = DepthDistortion(np.full(SHAPE, -0.5, np.float32))
    assert (distortion.apply(np.full(SHAPE, 8.0, np.float32)) > 0).all()


def test_every_third_camera_has_one_and_it_is_smooth():
    rng = np.random.default_rng(0)
    drawn = [random_distortion(rng, SHAPE) for _ in range(200)]
    present = [distortion.per_m for distortion in drawn if distortion is not None]
    assert 0.25 < len(present) / 200 < 0.42
    assert 0.0003 < np.std(present) < 0.002
    steps = np.diff(np.stack(present), axis=2)
    assert np.abs(steps).max() < 0.3 * np.abs(np.stack(present)).max()
