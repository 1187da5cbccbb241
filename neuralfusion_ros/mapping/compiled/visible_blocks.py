# SPDX-License-Identifier: Apache-2.0
"""visible_blocks of mapping/integrate.py, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.block_regions import REGION_BLOCKS
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.mapping.ray_image import RayImage


class _View(NamedTuple):
    """What a frame sees. half_x, half_y: half of the image's width and height at a distance of 1."""

    pose: Floats  # (4, 4)
    half_x: np.float32
    half_y: np.float32
    farthest_m: np.float32


def visible_blocks(grid: BlockGrid, rays: RayImage, T_world_camera: torch.Tensor) -> torch.Tensor:
    """As the function of the same name in mapping/integrate.py, on the CPU."""
    camera = rays.camera
    half_x = (max(camera.cx, camera.width - 1 - camera.cx) + 0.5) / camera.fx
    half_y = (max(camera.cy, camera.height - 1 - camera.cy) + 0.5) / camera.fy
    farthest_m = float(rays.depth_m.max()) + 2 * TRUNCATION_VOXELS * grid.voxel_size_m
    view = _View(T_world_camera.numpy(), *(np.float32(number) for number in (half_x, half_y, farthest_m)))
    regions = _in_view(grid.regions.keys.numpy(), np.float32(REGION_BLOCKS * grid.block_size_m), view)
    rows = grid.regions.rows(torch.from_numpy(regions))
    return rows[torch.from_numpy(_in_view(grid.keys[rows].numpy(), np.float32(grid.block_size_m), view))]


@kernel
def _in_view(cubes: npt.NDArray[np.int32], edge_m: np.float32, view: _View) -> npt.NDArray[np.int64]:
    """_in_view of the reference: positions of those of the (N, 3) cubes that may be seen."""
    found, n = np.empty(len(cubes), np.int64), 0
    radius_m, half, pose = edge_m * np.float32(3**0.5 / 2), np.float32(0.5), view.pose
    slant_x, slant_y = np.sqrt(1 + view.half_x * view.half_x), np.sqrt(1 + view.half_y * view.half_y)
    for i in range(len(cubes)):
        x = (np.float32(cubes[i, 0]) + half) * edge_m - pose[0, 3]
        y = (np.float32(cubes[i, 1]) + half) * edge_m - pose[1, 3]
        z = (np.float32(cubes[i, 2]) + half) * edge_m - pose[2, 3]
        right = x * pose[0, 0] + y * pose[1, 0] + z * pose[2, 0]
        down = x * pose[0, 1] + y * pose[1, 1] + z * pose[2, 1]
        ahead = x * pose[0, 2] + y * pose[1, 2] + z * pose[2, 2]
        if not -radius_m < ahead < view.farthest_m + radius_m:
            continue
        before = max(ahead, np.float32(0))
        inside_x = abs(right) <= view.half_x * before + radius_m * slant_x
        if inside_x and abs(down) <= view.half_y * before + radius_m * slant_y:
            found[n] = i
            n += 1
    return found[:n]
