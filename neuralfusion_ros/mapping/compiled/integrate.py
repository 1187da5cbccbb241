# SPDX-License-Identifier: Apache-2.0
"""Step 3, integrate, as one compiled pass over the blocks in view.

Does what look_up_updates and integrate of mapping/integrate.py do, voxel by voxel, without a temporary per voxel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.compiled.half import move_towards, to_float, to_half
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.pinhole import Pinhole, pinhole_of
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.compiled.visible_blocks import visible_blocks
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.mapping.fuse import RayUpdates
from neuralfusion_ros.mapping.integrate import NEAREST_M, Touched
from neuralfusion_ros.mapping.ray_image import RayImage
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, N_EVIDENCE, VARIANCE, WEIGHT

_BLOCKS = 32  # the least that is worth a thread
_CENTRES = voxel_offsets() + 0.5


class _Rays(NamedTuple):
    """The n = w * h rays of one frame, row by row, and what the network said of them."""

    depth_m: Floats  # (n,)
    nearest_m: Floats  # (n,)
    points_m: Floats  # (n, 3)
    normals: Floats  # (n, 3)
    correction: Floats  # (n,)
    confidence: Floats  # (n, S)
    vectors: Floats  # (n, S, L)
    latents: tuple[int, ...]  # 0 to L - 1, a tuple because the compiler then knows L


def integrate_frame(
    grid: BlockGrid, rays: RayImage, updates: RayUpdates, T_world_camera: torch.Tensor, max_weight: float
) -> Touched:
    """As FusionSteps.integrate, for a map in half precision on the CPU."""
    rows = visible_blocks(grid, rays, T_world_camera)
    rotation, translation = T_world_camera[:3, :3], T_world_camera[:3, 3]
    corners_m = (grid.keys[rows] * grid.block_size_m - translation) @ rotation
    voxels_m = (_CENTRES * grid.voxel_size_m) @ rotation
    measured = (rays.depth_m, rays.nearest_m, rays.points_m, rays.normals)
    said = (updates.correction, updates.confidence, updates.vectors)
    depth_m, nearest_m, points_m, normals = (part.flatten(end_dim=1).numpy() for part in measured)
    correction, confidence, vectors = (part.flatten(end_dim=1).numpy() for part in said)
    latents = tuple(range(grid.channels - N_EVIDENCE))
    flat = _Rays(depth_m, nearest_m, points_m, normals, correction, confidence, vectors, latents)
    n_updated, n_free = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32)
    states, numbers, corners = grid.values.numpy().view(np.uint16), rows.numpy(), corners_m.numpy()
    inside, camera = np.ascontiguousarray(voxels_m.T.numpy()), pinhole_of(rays.camera)
    truncation_m = np.float32(TRUNCATION_VOXELS * grid.voxel_size_m)

    def integrate(part: slice) -> None:
        _integrate_blocks(
            states, numbers[part], corners[part], inside, camera, flat, truncation_m, np.float32(max_weight),
            n_updated[part], n_free[part],
        )  # fmt: skip

    in_threads(integrate, len(rows), _BLOCKS)
    return Touched(rows[torch.from_numpy(n_updated + n_free > 0)], int(n_updated.sum()))


@kernel
def _integrate_blocks(
    values: npt.NDArray[np.uint16],
    rows: npt.NDArray[np.int64],
    corners_m: Floats,
    voxels_m: Floats,
    camera: Pinhole,
    rays: _Rays,
    truncation_m: np.float32,
    max_weight: np.float32,
    n_updated: npt.NDArray[np.int32],
    n_free: npt.NDArray[np.int32],
) -> None:
    """values: (n_blocks, 512, C) halves. rows: (B,). corners_m: (B, 3) and voxels_m: (3, 512) in the camera's frame."""
    centres = np.empty((3, BLOCK_VOXELS), np.float32)
    ray_of = np.empty(BLOCK_VOXELS, np.int32)
    for b in range(len(rows)):
        _project(corners_m[b], voxels_m, camera, centres, ray_of)
        block = values[rows[b]]
        for i in range(BLOCK_VOXELS):
            ray = ray_of[i]
            if ray < 0 or not rays.depth_m[ray] > 0:
                continue
            ahead = (rays.depth_m[ray] - centres[2, i]) / truncation_m
            if ahead < -2:  # a slanted band reaches further along the ray
                continue
            distance = np.float32(2)
            if ahead <= 2:
                distance = (
                    (centres[0, i] - rays.points_m[ray, 0]) * rays.normals[ray, 0]
                    + (centres[1, i] - rays.points_m[ray, 1]) * rays.normals[ray, 1]
                    + (centres[2, i] - rays.points_m[ray, 2]) * rays.normals[ray, 2]
                ) / truncation_m
            if distance > 1:
                if abs(rays.nearest_m[ray] - centres[2, i]) > truncation_m:
                    _vote_free(block[i], max_weight)
                    n_free[b] += 1
            elif distance >= -1:
                _merge(block[i], rays, ray, distance, max_weight)
                n_updated[b] += 1


@kernel
def _project(
    corner_m: Floats, voxels_m: Floats, camera: Pinhole, centres: Floats, ray_of: npt.NDArray[np.int32]
) -> None:
    """Centres of the voxels of a block and the ray that passes each, -1 outside the image."""
    width, height = np.float32(camera.width), np.float32(camera.height)
    for i in range(BLOCK_VOXELS):
        x, y, z = corner_m[0] + voxels_m[0, i], corner_m[1] + voxels_m[1, i], corner_m[2] + voxels_m[2, i]
        inverse_z = np.float32(1) / max(z, np.float32(NEAREST_M))
        u = np.rint(x * inverse_z * camera.fx + camera.cx)
        v = np.rint(y * inverse_z * camera.fy + camera.cy)
        seen = (z > np.float32(NEAREST_M)) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        ray_of[i] = np.int32(v * width + u if seen else np.float32(-1))
        centres[0, i], centres[1, i], centres[2, i] = x, y, z


@kernel
def _merge(
    state: npt.NDArray[np.uint16], rays: _Rays, ray: np.int32, distance: np.float32, max_weight: np.float32
) -> None:
    """merge of the reference for one voxel."""
    sample = np.int32(np.rint((np.float32(1) - distance) * np.float32(TRUNCATION_VOXELS)))
    confidence = rays.confidence[ray, sample]
    measured = min(max(distance - rays.correction[ray], np.float32(-1)), np.float32(1))
    old_weight, mean = to_float(state[WEIGHT]), to_float(state[MEAN])
    weight = old_weight + confidence
    gain = confidence / weight
    step = measured - mean
    free = to_float(state[FREE])
    scale = _cap_factor(weight, free, max_weight)
    state[WEIGHT] = to_half(weight * scale)
    state[MEAN] = to_half(mean + gain * step)
    state[VARIANCE] = to_half((np.float32(1) - gain) * (to_float(state[VARIANCE]) + gain * step * step))
    state[FREE] = to_half(free * scale)
    latents, vector = state[N_EVIDENCE:].ctypes.data, rays.vectors[ray, sample].ctypes.data
    move_towards(latents, vector, gain, rays.latents)


@kernel
def _vote_free(state: npt.NDArray[np.uint16], max_weight: np.float32) -> None:
    """_vote_free of the reference for one voxel."""
    weight, free = to_float(state[WEIGHT]), to_float(state[FREE]) + np.float32(1)
    scale = _cap_factor(weight, free, max_weight)
    state[FREE] = to_half(free * scale)
    state[WEIGHT] = to_half(weight * scale)


@kernel
def _cap_factor(weight: np.float32, free: np.float32, max_weight: np.float32) -> np.float32:
    """_cap_factor of the reference for one voxel. torch, too, divides a number by a tensor through the reciprocal."""
    return min(max_weight * (np.float32(1) / (weight + free)), np.float32(1))
