# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralfusion_ros.evaluation.method import Triangles, empty_mesh
from neuralfusion_ros.evaluation.metrics import free_space_error, mesh_scores, voxel_scores
from neuralfusion_ros.evaluation.surfaces import sample_surface

TRUTH = np.array([0.03, 0.01, -0.01, -0.03])
KNOWN = np.ones(4, dtype=bool)


def square(z: float, size_m: float = 1.0) -> Triangles:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size_m
    return Triangles(np.column_stack((corners, np.full(4, z))), np.array([[0, 1, 2], [0, 2, 3]]))


def test_perfect_voxels():
    scores = voxel_scores(TRUTH, KNOWN, TRUTH, truncation_m=0.04)
    assert (scores.mse_mm2, scores.mad_mm, scores.unobserved) == (0, 0, 0)
    assert (scores.iou, scores.f1, scores.sign_accuracy) == (1, 1, 1)


def test_voxel_scores_by_hand():
    estimate = np.array([0.03, -0.01, -0.02, 0.09])
    scores = voxel_scores(estimate, KNOWN, TRUTH, truncation_m=0.04)
    assert scores.mad_mm == pytest.approx((0 + 20 + 10 + 70) / 4)
    assert scores.mse_mm2 == pytest.approx((0 + 400 + 100 + 4900) / 4)
    assert scores.iou == pytest.approx(1 / 3)
    assert scores.f1 == pytest.approx(2 / 4)
    assert scores.sign_accuracy == pytest.approx(2 / 4)


def test_unknown_voxels_count_as_free_space():
    estimate = np.array([np.nan, 0.01, np.nan, -0.03])
    known = np.array([False, True, False, True])
    scores = voxel_scores(estimate, known, TRUTH, truncation_m=0.04)
    assert scores.unobserved == 0.5
    assert scores.mad_mm == pytest.approx((10 + 0 + 50 + 0) / 4)
    assert scores.iou == pytest.approx(1 / 2)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0.01, 0.1), st.integers(0, 1000))
def test_scores_stay_in_range_and_ignore_values_beyond_the_truncation(values, truncation_m, seed):
    rng = np.random.default_rng(seed)
    truth, known = rng.uniform(-0.1, 0.1, len(values)), rng.random(len(values)) < 0.7
    estimate = np.array(values)
    scores = voxel_scores(estimate, known, truth, truncation_m)
    assert scores == voxel_scores(estimate.clip(-truncation_m, truncation_m), known, truth, truncation_m)
    assert 0 <= scores.iou <= scores.f1 <= 1
    assert 0 <= scores.mad_mm <= 2000 * truncation_m * (1 + 1e-9)
    assert scores.mad_mm**2 <= scores.mse_mm2 * (1 + 1e-9) + 1e-12


def test_free_space_error_counts_known_solids():
    assert free_space_error(np.array([-0.1, -0.1, 0.1, np.nan]), np.array([True, False, True, False])) == 0.25
    assert free_space_error(np.zeros(0), np.zeros(0, dtype=bool)) == 0


def test_shifted_mesh():
    seen = sample_surface(square(0.0), 20000, seed=1)
    scores = mesh_scores(square(0.015), square(0.0), seen)
    assert scores.accuracy_mm == pytest.approx(15, abs=1e-3)
    assert scores.completeness_mm == pytest.approx(15, abs=1e-3)
    assert (scores.f1cm, scores.f2cm, scores.f5cm) == (0, 1, 1)


def test_half_of_the_surface():
    half = Triangles(square(0.0).vertices * [0.5, 1, 1], square(0.0).triangles)
    seen = sample_surface(square(0.0), 40000, seed=1)
    scores = mesh_scores(half, square(0.0), seen)
    assert scores.accuracy_mm == pytest.approx(0, abs=1e-3)
    assert scores.completeness_mm == pytest.approx(125, rel=0.02)
    recall = 0.5 + 0.02
    assert scores.f2cm == pytest.approx(2 * recall / (1 + recall), abs=0.01)


def test_samples_are_uniform_over_the_area():
    small_far_away = Triangles(
        np.concatenate((square(0.0).vertices, square(0.0, 0.5).vertices + [5, 0, 0])),
        np.concatenate((square(0.0).triangles, square(0.0).triangles + 4)),
    )
    samples = sample_surface(small_far_away, 20000, seed=3)
    assert np.mean(samples[:, 0] > 4) == pytest.approx(0.2, abs=0.02)


def test_mesh_far_outside_is_cropped_and_no_mesh_scores_zero():
    seen = sample_surface(square(0.0), 1000, seed=1)
    assert mesh_scores(empty_mesh(), square(0.0), seen).f5cm == 0
    assert mesh_scores(square(3.0), square(0.0), seen).accuracy_mm == np.inf
    both = Triangles(
        np.concatenate((square(0.0).vertices, square(3.0).vertices)),
        np.concatenate((square(0.0).triangles, square(0.0).triangles + 4)),
    )
    assert mesh_scores(both, square(0.0), seen).f1cm == pytest.approx(1)
