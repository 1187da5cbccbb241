# SPDX-License-Identifier: Apache-2.0
"""The baseline everybody has: TSDF fusion with Open3D's VoxelBlockGrid.

Open3D reads the depth of the pixel that contains (u, v) when pixel 0 reaches from 0 to 1. Here pixel 0 reaches from
-0.5 to 0.5, so the principal point is moved by half a pixel. Without that a slanted plane lies 0.15 voxels off.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import open3d as o3d

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.method import FusedMap
from neuralfusion_ros.evaluation.tsdf_map import TsdfMap, new_grid
from neuralfusion_ros.mapping.camera import PinholeCamera

WEIGHT_THRESHOLDS = (1, 3, 5)
_BLOCK = 16


class Open3dTsdf:
    """Open3D's fusion with a truncation of `truncation_voxels`, read with each of WEIGHT_THRESHOLDS.

    A frame updates the whole of every block of 16x16x16 voxels that it touches, so it sees some free space.
    """

    def __init__(self, voxel_size_m: float, truncation_voxels: int, max_depth_m: float) -> None:
        self.name = f"open3d trunc={truncation_voxels}"
        self._voxel_size_m = voxel_size_m
        self._truncation_voxels = truncation_voxels
        self._max_depth_m = max_depth_m
        self._grid = new_grid(voxel_size_m, _BLOCK, blocks=2000)

    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        """Adds one frame with weight 1."""
        if not ((frame.depth_m > 0) & (frame.depth_m <= self._max_depth_m)).any():
            return  # Open3D raises when no block is touched
        depth = o3d.t.geometry.Image(np.ascontiguousarray(frame.depth_m, dtype=np.float32))
        intrinsic = o3d.core.Tensor(_open3d_intrinsic(camera))
        extrinsic = o3d.core.Tensor(_extrinsic(frame, self._voxel_size_m))
        scale_and_range = (1.0, self._max_depth_m, float(self._truncation_voxels))
        blocks = self._grid.compute_unique_block_coordinates(depth, intrinsic, extrinsic, *scale_and_range)
        self._grid.integrate(blocks, depth, intrinsic, extrinsic, *scale_and_range)

    def maps(self) -> Iterator[FusedMap]:
        """One map per weight threshold."""
        truncation_m = self._truncation_voxels * self._voxel_size_m
        for threshold in WEIGHT_THRESHOLDS:
            name = f"{self.name} weight>{threshold}"
            yield TsdfMap(name, self._grid, self._voxel_size_m, _BLOCK, truncation_m, threshold)


def _open3d_intrinsic(camera: PinholeCamera) -> np.ndarray:
    return np.array([[camera.fx, 0, camera.cx + 0.5], [0, camera.fy, camera.cy + 0.5], [0, 0, 1]], dtype=np.float64)


def _extrinsic(frame: Frame, voxel_size_m: float) -> np.ndarray:
    """Camera from the world moved by minus half a voxel (see tsdf_map)."""
    T_moved_camera = np.array(frame.T_world_camera, dtype=np.float64)
    T_moved_camera[:3, 3] -= 0.5 * voxel_size_m
    return np.linalg.inv(T_moved_camera)
