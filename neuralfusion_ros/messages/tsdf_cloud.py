# SPDX-License-Identifier: Apache-2.0
"""The translated map as a point cloud: one point per observed voxel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.messages.point_cloud import point_cloud_bytes

TSDF_POINT = np.dtype([(name, "<f4") for name in ("x", "y", "z", "tsdf", "weight", "occupancy")])


def tsdf_points(
    positions_m: npt.ArrayLike, tsdf_m: npt.ArrayLike, weight: npt.ArrayLike, occupancy: npt.ArrayLike
) -> npt.NDArray[np.void]:
    """(N,) structured array of TSDF_POINT.

    positions_m: (N, 3) centres of the voxels, metres in the global frame. tsdf_m: (N,) metres, positive in free space.
    weight: (N,) evidence. occupancy: (N,) in 0..1. Raises ValueError when the lengths differ.
    """
    positions = np.asarray(positions_m)
    points = np.empty(len(positions), dtype=TSDF_POINT)
    points["x"], points["y"], points["z"] = positions[:, 0], positions[:, 1], positions[:, 2]
    points["tsdf"], points["weight"], points["occupancy"] = tsdf_m, weight, occupancy
    return points


def tsdf_cloud_bytes(
    frame_id: str,
    stamp_ns: int,
    positions_m: npt.ArrayLike,
    tsdf_m: npt.ArrayLike,
    weight: npt.ArrayLike,
    occupancy: npt.ArrayLike,
) -> bytes:
    """A serialised PointCloud2 with the fields of TSDF_POINT; the arguments are those of `tsdf_points`."""
    return point_cloud_bytes(frame_id, stamp_ns, tsdf_points(positions_m, tsdf_m, weight, occupancy))
