# SPDX-License-Identifier: Apache-2.0
"""Errors that stay: their size, and that they do stay."""

import numpy as np
import pytest

from neuralfusion_ros.training.systematic_error import depth_distortion, tracked


def poses(count: int) -> np.ndarray:
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, :3, 3] = (10, 20, 30)
    return result


def angles_rad(found: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip((np.trace(found[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))


@pytest.mark.parametrize("drifts", [False, True])
def test_errors_of_poses_have_the_stated_size(drifts):
    size, none = (0.01, 0.02), (0.0, 0.0)
    moved = tracked(poses(6000), np.random.default_rng(0), none if drifts else size, size if drifts else none)
    assert (moved[:, :3, 3] - (10, 20, 30)).std(axis=0) == pytest.approx([0.01] * 3, rel=0.1)
    assert np.sqrt(np.mean(angles_rad(moved) ** 2)) == pytest.approx(0.02 * np.sqrt(3), rel=0.1)
    steps = np.diff(moved[:, :3, 3], axis=0).std()
    assert steps < 0.002 if drifts else steps > 0.012


def test_without_error_poses_stay_as_they_are():
    given = poses(3)
    np.testing.assert_array_equal(tracked(given, np.random.default_rng(0), (0.0, 0.0), (0.0, 0.0)), given)
    tracked(given, np.random.default_rng(0), (0.1, 0.1), (0.0, 0.0))
    np.testing.assert_array_equal(given, poses(3))  # the input is not touched


def test_distortion_is_smooth_and_of_the_stated_size():
    found = np.stack([depth_distortion(np.random.default_rng(k), (48, 64), 0.01) for k in range(400)])
    assert found.shape == (400, 48, 64)
    assert found.dtype == np.float32
    assert found.std() == pytest.approx(0.01 * np.sqrt(2), rel=0.1)
    assert np.abs(np.diff(found, axis=2)).mean() < 0.001
    assert np.array_equal(depth_distortion(np.random.default_rng(0), (48, 64), 0.0), np.ones((48, 64)))
