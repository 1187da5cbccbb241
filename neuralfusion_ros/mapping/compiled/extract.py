# SPDX-License-Identifier: Apache-2.0
"""Step 1, extract, compiled: from the map along every ray straight to the inputs of the fusion network.

Does what extract in mapping/extract.py and network_inputs in mapping/fuse.py do. Most samples lie in the block of the
sample before them, so that the hash table is asked once or twice per ray.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.compiled.buffers import Buffers
from neuralfusion_ros.mapping.compiled.evidence import LOG1P_THIRD, evidence_features
from neuralfusion_ros.mapping.compiled.half import to_float
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.prefetch import prefetch
from neuralfusion_ros.mapping.compiled.table import Table, find, pack, table_of
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.compiled.world_rays import RAYS, Floats, WorldRays
from neuralfusion_ros.mapping.extract import SAMPLES, TRUNCATION_VOXELS
from neuralfusion_ros.mapping.fuse import SAMPLE_FEATURES
from neuralfusion_ros.mapping.ray_image import RAY_FEATURES, RayImage
from neuralfusion_ros.mapping.voxel_state import MEAN, WEIGHT

_AHEAD = 16  # rays whose voxels are loaded while others are looked at


def network_inputs(grid: BlockGrid, rays: RayImage, world: WorldRays, buffers: Buffers) -> torch.Tensor:
    """(h, w, RAY_FEATURES + S * SAMPLE_FEATURES): of every ray its own features and those of its samples.

    The next call with the same buffers overwrites what this one returns.
    """
    inputs = buffers.array("inputs", len(world.depth_m), RAY_FEATURES + SAMPLES * SAMPLE_FEATURES)
    halves = grid.values.numpy().view(np.uint16)
    ray_features = rays.features.flatten(end_dim=1).numpy()
    table = table_of(grid.index)

    def extract(part: slice) -> None:
        _network_inputs(halves, table, world.part(part), ray_features[part], LOG1P_THIRD, inputs[part])

    in_threads(extract, len(inputs), RAYS)
    return torch.from_numpy(inputs).reshape(*rays.depth_m.shape, -1)


@kernel
def _network_inputs(
    values: npt.NDArray[np.uint16],
    table: Table,
    rays: WorldRays,
    ray_features: Floats,
    log1p_third: Floats,
    inputs: Floats,
) -> None:
    """values: (n_blocks, 512, C) halves. inputs: (n, F) to write to."""
    where = np.empty((_AHEAD, SAMPLES), np.int64)
    for first in range(0, len(rays.depth_m), _AHEAD):
        end = min(first + _AHEAD, len(rays.depth_m))
        for ray in range(first, end):
            if rays.depth_m[ray] > 0:
                _find_voxels(values, table, rays, ray, where[ray - first])
        for ray in range(first, end):
            inputs[ray] = np.float32(0)
            if rays.depth_m[ray] > 0:
                for feature in range(RAY_FEATURES):
                    inputs[ray, feature] = ray_features[ray, feature]
                _describe_samples(values, rays, ray, where[ray - first], log1p_third, inputs[ray])


@kernel
def _voxel(rays: WorldRays, ray: int, sample: int) -> tuple[int, int, int]:
    """Coordinates of the voxel in which a sample lies."""
    step = np.float32(sample - TRUNCATION_VOXELS)
    x = int(np.floor(rays.points[ray, 0] + rays.directions[ray, 0] * step))
    y = int(np.floor(rays.points[ray, 1] + rays.directions[ray, 1] * step))
    z = int(np.floor(rays.points[ray, 2] + rays.directions[ray, 2] * step))
    return x, y, z


@kernel
def _find_voxels(
    values: npt.NDArray[np.uint16], table: Table, rays: WorldRays, ray: int, where: npt.NDArray[np.int64]
) -> None:
    """Writes the row of each sample's voxel in the flattened pool, -1 where there is none, and has its state loaded."""
    block_x, block_y, block_z, block = 0, 0, 0, -2  # none looked up yet
    for sample in range(SAMPLES):
        x, y, z = _voxel(rays, ray, sample)
        if block == -2 or x >> 3 != block_x or y >> 3 != block_y or z >> 3 != block_z:
            block_x, block_y, block_z = x >> 3, y >> 3, z >> 3
            block = find(table, pack(block_x, block_y, block_z))
        where[sample] = -1
        if block >= 0:
            where[sample] = block * BLOCK_VOXELS + (((x & 7) << 6) | ((y & 7) << 3) | (z & 7))
            prefetch(values.ctypes.data + where[sample] * values.shape[2] * values.itemsize)


@kernel
def _describe_samples(
    values: npt.NDArray[np.uint16],
    rays: WorldRays,
    ray: int,
    where: npt.NDArray[np.int64],
    log1p_third: Floats,
    inputs: Floats,
) -> None:
    """Writes the features of the samples that lie in the map."""
    for sample in range(SAMPLES):
        if where[sample] < 0:
            continue
        x, y, z = _voxel(rays, ray, sample)
        distance = (
            (np.float32(x) + np.float32(0.5) - rays.points[ray, 0]) * rays.normals[ray, 0]
            + (np.float32(y) + np.float32(0.5) - rays.points[ray, 1]) * rays.normals[ray, 1]
            + (np.float32(z) + np.float32(0.5) - rays.points[ray, 2]) * rays.normals[ray, 2]
        ) / np.float32(TRUNCATION_VOXELS)
        state = values[where[sample] // BLOCK_VOXELS, where[sample] % BLOCK_VOXELS]
        _sample_features(state, distance, log1p_third, inputs[RAY_FEATURES + sample * SAMPLE_FEATURES :])


@kernel
def _sample_features(
    state: npt.NDArray[np.uint16], distance: np.float32, log1p_third: Floats, features: Floats
) -> None:
    """Features of one sample, as network_inputs of the reference orders them."""
    evidence_features(state, log1p_third, features[1:])
    closer = to_float(state[MEAN]) - distance
    features[0] = min(max(closer, np.float32(-1)), np.float32(1)) if to_float(state[WEIGHT]) > 0 else np.float32(0)
