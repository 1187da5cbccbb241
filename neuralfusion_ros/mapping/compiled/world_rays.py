# SPDX-License-Identifier: Apache-2.0
"""The rays of a frame where the map is: in the world's frame and counted in voxels. Reference: mapping/extract.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BlockGrid
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.table import Table, find, pack, table_of
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.mapping.ray_image import RayImage

Floats = npt.NDArray[np.float32]
RAYS = 1024
"""The least that is worth a thread."""


class WorldRays(NamedTuple):
    """depth_m: (n,), 0 where nothing was measured. points: (n, 3) measured points, in voxels.

    directions, normals: (n, 3) unit vectors along the ray and of its tangent plane.
    """

    depth_m: Floats
    points: Floats
    directions: Floats
    normals: Floats

    def part(self, rays: slice) -> WorldRays:
        """Some of them; what is written to it is written to all."""
        return WorldRays(*(array[rays] for array in self))


def world_rays(rays: RayImage, T_world_camera: torch.Tensor, voxel_size_m: float) -> WorldRays:
    """T_world_camera: (4, 4) float32."""
    n = rays.depth_m.numel()
    world = WorldRays(rays.depth_m.reshape(-1).numpy(), *(np.zeros((n, 3), np.float32) for _ in range(3)))
    points_m, normals = rays.points_m.reshape(-1, 3).numpy(), rays.normals.reshape(-1, 3).numpy()
    pose = T_world_camera.numpy()
    in_threads(
        lambda part: _to_world(points_m[part], normals[part], pose, np.float32(voxel_size_m), world.part(part)), n, RAYS
    )
    return world


def band_blocks(grid: BlockGrid, world: WorldRays) -> torch.Tensor:
    """(N, 3) coordinates of the blocks that the truncation band touches and the map does not have, some repeated."""
    n = len(world.depth_m)
    missing, is_new, table = (
        np.empty((n, _BAND_STEPS, 3), np.int32),
        np.empty((n, _BAND_STEPS), np.bool_),
        table_of(grid.index),
    )
    in_threads(lambda part: _missing_blocks(table, world.part(part), missing[part], is_new[part]), n, RAYS)
    return torch.from_numpy(missing[is_new])


@kernel
def _to_world(points_m: Floats, normals: Floats, pose: Floats, voxel_size_m: np.float32, world: WorldRays) -> None:
    for ray in range(len(points_m)):
        if not world.depth_m[ray] > 0:
            continue
        x, y, z = points_m[ray, 0], points_m[ray, 1], points_m[ray, 2]
        length = np.sqrt(x * x + y * y + z * z)
        for axis in range(3):
            turned = pose[axis, 0] * x + pose[axis, 1] * y + pose[axis, 2] * z
            world.points[ray, axis] = (turned + pose[axis, 3]) / voxel_size_m
            world.directions[ray, axis] = turned / length
            world.normals[ray, axis] = (
                pose[axis, 0] * normals[ray, 0] + pose[axis, 1] * normals[ray, 1] + pose[axis, 2] * normals[ray, 2]
            )


_BAND_STEPS = 5  # a block is eight voxels wide: every other voxel of the band is enough


@kernel
def _missing_blocks(
    table: Table, world: WorldRays, missing: npt.NDArray[np.int32], is_new: npt.NDArray[np.bool_]
) -> None:
    is_new[:] = False
    last = np.full((_BAND_STEPS, 3), np.nan, np.float32)  # of each step: most rays are in the block of the ray before
    for ray in range(len(world.depth_m)):
        if not world.depth_m[ray] > 0:
            continue
        for k in range(_BAND_STEPS):
            step = np.float32(TRUNCATION_VOXELS * (2 * k / (_BAND_STEPS - 1) - 1))
            x = np.floor((world.points[ray, 0] + world.directions[ray, 0] * step) / np.float32(BLOCK_SIZE))
            y = np.floor((world.points[ray, 1] + world.directions[ray, 1] * step) / np.float32(BLOCK_SIZE))
            z = np.floor((world.points[ray, 2] + world.directions[ray, 2] * step) / np.float32(BLOCK_SIZE))
            if x == last[k, 0] and y == last[k, 1] and z == last[k, 2]:
                continue
            last[k, 0], last[k, 1], last[k, 2] = x, y, z
            if find(table, pack(int(x), int(y), int(z))) < 0:
                missing[ray, k, 0], missing[ray, k, 1], missing[ray, k, 2] = np.int32(x), np.int32(y), np.int32(z)
                is_new[ray, k] = True
