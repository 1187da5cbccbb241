# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.evaluation.filtered_tsdf import FILTERS, gaussian_filtered, median_filtered
from neuralfusion_ros.evaluation.metrics import voxel_scores
from neuralfusion_ros.evaluation.projective_tsdf import VARIANTS, ProjectiveTsdf

VOXEL_M = 0.04


@pytest.fixture
def volume():
    """Signed distances in truncations to a slanted plane, as float32, and what is known: all but one side."""
    x, y, z = np.mgrid[:12, :14, :16].astype(np.float32)
    tsdf = ((0.6 * x + 0.8 * z - 8) / 4).clip(-1, 1)
    return tsdf.astype(np.float32), y < 11


def test_median_is_that_of_the_known_neighbours(volume):
    tsdf, known = volume
    filtered = median_filtered(tsdf, known)
    for at in ((5, 5, 6), (5, 10, 6), (0, 0, 9), (11, 10, 2)):
        around = tuple(slice(max(k - 1, 0), k + 2) for k in at)
        if known[at] and abs(tsdf[at]) < 1:
            assert filtered[at] == pytest.approx(np.median(tsdf[around][known[around]]), abs=1e-6)


def test_median_removes_a_lone_outlier_and_leaves_the_unknown(volume):
    tsdf, known = volume
    spoilt = tsdf.copy()
    spoilt[5, 5, 14] = -0.9  # in free space
    assert median_filtered(spoilt, known)[5, 5, 14] == tsdf[5, 5, 14] == 1
    np.testing.assert_array_equal(median_filtered(spoilt, known)[~known], spoilt[~known])


@pytest.mark.parametrize("name", FILTERS)
def test_unknown_values_have_no_influence(volume, name):
    tsdf, known = volume
    other = np.where(known, tsdf, np.float32(-55))
    np.testing.assert_allclose(FILTERS[name](tsdf, known)[known], FILTERS[name](other, known)[known], atol=1e-6)


def test_gaussian_keeps_a_plane_and_a_constant(volume):
    tsdf, known = volume
    linear = np.zeros_like(tsdf) + 0.1 * np.arange(16, dtype=np.float32)
    smooth = gaussian_filtered(linear, np.ones_like(known))
    np.testing.assert_allclose(smooth[:, :, 5:11], linear[:, :, 5:11], atol=1e-3)
    np.testing.assert_allclose(gaussian_filtered(np.full_like(tsdf, 0.3), known)[known], 0.3, atol=1e-5)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_lower_the_error_of_noisy_frames(studio, name):
    """The filtered reading belongs to the right voxels: it agrees with the plane better than the plain one."""
    rng = np.random.default_rng(0)
    plane = studio.plane((0.2, 0.3, 0.9), 1.0)
    method = ProjectiveTsdf(VOXEL_M, np.array([-0.8, -0.5, 0.4]), np.array([0.4, 0.8, 1.6]), max_depth_m=4.0)
    for _ in range(2):
        frame = studio.frame(plane, studio.pose((0, 0, 0)))
        frame.depth_m[frame.depth_m > 0] += 0.03 * rng.standard_normal((frame.depth_m > 0).sum()).astype(np.float32)
        method.integrate(frame, studio.camera)
    maps = {fused.name: fused for fused in method.maps()}
    assert list(maps) == [variant.name for variant in VARIANTS]
    near = (rng.integers(-6, 6, (4000, 3)) + 0.5) * VOXEL_M + [0, 0, 0.96]
    truth = plane.distance(near)
    near, truth = near[np.abs(truth) < 0.06], truth[np.abs(truth) < 0.06]
    plain, filtered = (
        voxel_scores(*maps[key].query(near), truth, 0.08)
        for key in ("tsdf band trunc=4 n>=1", f"tsdf band trunc=4 n>=1 + {name}")
    )
    assert filtered.unobserved == plain.unobserved < 0.2
    assert filtered.mad_mm < 0.75 * plain.mad_mm
