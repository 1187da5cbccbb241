# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.evaluation.latent_pictures import slice_points


def test_slices_are_voxel_centres_with_their_extent():
    points, (left, right, bottom, top) = slice_points(1, 0.77, np.array([-0.25, 0, 1.0]), np.array([0.15, 0, 1.3]), 0.1)
    assert points.shape == (4, 5, 3)
    assert (left, right, bottom, top) == pytest.approx((-0.3, 0.2, 1.0, 1.4))
    np.testing.assert_allclose(points[0, 0], [-0.25, 0.77, 1.05])
    np.testing.assert_allclose(points[-1, -1], [0.15, 0.77, 1.35])
