# SPDX-License-Identifier: Apache-2.0
"""The surface as a point cloud: one point per vertex of the mesh, with its normal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.messages.point_cloud import point_cloud_bytes

SURFACE_POINT = np.dtype([(name, "<f4") for name in ("x", "y", "z", "normal_x", "normal_y", "normal_z")])


def surface_cloud_bytes(
    frame_id: str, stamp_ns: int, positions_m: npt.NDArray[np.floating], normals: npt.NDArray[np.floating]
) -> bytes:
    """A serialised PointCloud2 with the fields of SURFACE_POINT.

    positions_m: (N, 3) metres in the global frame. normals: (N, 3) unit vectors.
    """
    points = np.empty(len(positions_m), dtype=SURFACE_POINT)
    for axis, name in enumerate("xyz"):
        points[name] = positions_m[:, axis]
        points[f"normal_{name}"] = normals[:, axis]
    return point_cloud_bytes(frame_id, stamp_ns, points)
