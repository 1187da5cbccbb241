# SPDX-License-Identifier: Apache-2.0
"""Errors of tracking have the stated size, and wander at the stated pace."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.tracking_error import TrackingError, random_tracking_error

POSE = np.eye(4)
POSE[:3, :3] = Rotation.from_rotvec([0.3, -0.5, 1.0]).as_matrix()
POSE[:3, 3] = (10, 20, 30)


def errors_of(tracking: TrackingError, count: int) -> np.ndarray:
    """(count, 6): metres and radians in the camera's frame."""
    rng = np.random.default_rng(0)
    errors = [np.linalg.inv(POSE) @ tracking.apply(POSE, rng) for _ in range(count)]
    return np.stack([np.r_[T[:3, 3], Rotation.from_matrix(T[:3, :3]).as_rotvec()] for T in errors])


def correlation(values: np.ndarray, lag: int) -> float:
    return float(np.mean(values[lag:] * values[:-lag]) / np.mean(values**2))


def test_no_error_is_none():
    assert np.allclose(errors_of(TrackingError((0, 0), (0, 0)), 3), 0, atol=1e-12)


def test_trembling_is_new_in_every_frame():
    errors = errors_of(TrackingError((0.01, 0.02), (0, 0)), 4000)
    assert errors.std(axis=0) == pytest.approx([0.01] * 3 + [0.02] * 3, rel=0.1)
    assert abs(correlation(errors[:, 0], 1)) < 0.05


def test_wandering_changes_slowly_and_comes_back():
    errors = errors_of(TrackingError((0, 0), (0.01, 0.02), wander_frames=10), 20000)
    assert errors.std(axis=0) == pytest.approx([0.01] * 3 + [0.02] * 3, rel=0.15)
    assert correlation(errors[:, 1], 10) == pytest.approx(np.exp(-1), abs=0.08)
    assert np.abs(errors.mean(axis=0)).max() < 0.003


def test_a_stream_begins_with_its_whole_error():
    first = [errors_of_first(seed) for seed in range(300)]
    assert np.std(first) == pytest.approx(0.01, rel=0.15)


def errors_of_first(seed: int) -> float:
    moved = TrackingError((0, 0), (0.01, 0)).apply(np.eye(4), np.random.default_rng(seed))
    return float(moved[0, 3])


def test_training_draws_exact_poses_too():
    rng = np.random.default_rng(0)
    sizes = [np.abs(errors_of(random_tracking_error(rng), 20)[:, :3]).max() for _ in range(60)]
    assert 0.1 < np.mean(np.array(sizes) < 1e-9) < 0.45
    assert 0.01 < max(sizes) < 0.06
