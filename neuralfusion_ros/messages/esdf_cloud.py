# SPDX-License-Identifier: Apache-2.0
"""A slice of the distance field as a point cloud: one point per known cell."""

from __future__ import annotations

import numpy as np

from neuralfusion_ros.mapping.planning_grids import EsdfSlice
from neuralfusion_ros.messages.point_cloud import point_cloud_bytes

ESDF_POINT = np.dtype([(name, "<f4") for name in ("x", "y", "z", "distance")])


def esdf_cloud_bytes(frame_id: str, stamp_ns: int, esdf: EsdfSlice) -> bytes:
    """A serialised PointCloud2 with the fields of ESDF_POINT, all in metres."""
    points = np.empty(len(esdf.distance_m), dtype=ESDF_POINT)
    for axis, name in enumerate("xyz"):
        points[name] = esdf.positions_m[:, axis]
    points["distance"] = esdf.distance_m
    return point_cloud_bytes(frame_id, stamp_ns, points)
