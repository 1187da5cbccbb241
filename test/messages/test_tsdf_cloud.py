# SPDX-License-Identifier: Apache-2.0
"""The TSDF point cloud."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.messages.point_cloud import read_point_cloud
from neuralfusion_ros.messages.tsdf_cloud import TSDF_POINT, tsdf_cloud_bytes


def test_every_value_arrives_in_its_field():
    rng = np.random.default_rng(0)
    positions_m, (tsdf_m, weight, occupancy) = rng.normal(size=(9, 3)), rng.random((3, 9)).astype(np.float32)
    frame_id, stamp_ns, points = read_point_cloud(tsdf_cloud_bytes("map", 17, positions_m, tsdf_m, weight, occupancy))
    assert (frame_id, stamp_ns, points.dtype) == ("map", 17, TSDF_POINT)
    np.testing.assert_array_equal(np.stack([points[axis] for axis in "xyz"], -1), positions_m.astype(np.float32))
    for name, values in (("tsdf", tsdf_m), ("weight", weight), ("occupancy", occupancy)):
        np.testing.assert_array_equal(points[name], values)


def test_an_empty_map_is_an_empty_cloud():
    _, _, points = read_point_cloud(tsdf_cloud_bytes("map", 0, np.zeros((0, 3)), [], [], []))
    assert points.dtype == TSDF_POINT and len(points) == 0


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="broadcast"):
        tsdf_cloud_bytes("map", 0, np.zeros((3, 3)), np.zeros(2), np.zeros(3), np.zeros(3))
