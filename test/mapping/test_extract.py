# SPDX-License-Identifier: Apache-2.0
"""Alignment: every sample of every ray reads and writes its own voxel, proven with identity codes on a toy image.

The toy has 8 x 6 rays, eight voxels apart, and nine samples per ray that share no voxel. All its numbers are exact
in single precision.
"""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.extract import SAMPLES, TRUNCATION_VOXELS, extract, read_states, voxel_rows
from neuralfusion_ros.mapping.fuse import RayUpdates
from neuralfusion_ros.mapping.integrate import integrate, look_up_updates, visible_blocks
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import LATENT, WEIGHT, n_channels

VOXEL_M = 1 / 64
TRUNCATION_M = TRUNCATION_VOXELS * VOXEL_M
CAMERA = PinholeCamera(8, 6, 16.0, 16.0, 3.5, 2.5)
PLANE_M = 128.5 * VOXEL_M  # through the centres of a layer of voxels
TURNED = np.array([[0.0, 0, 1, -3.0], [1, 0, 0, 0.25], [0, 1, 0, 1.5], [0, 0, 0, 1]])
SKEW = pose_matrix([0.3, -0.7, 0.11], Rotation.from_euler("xyz", [0.3, -0.4, 0.2]).as_quat())


def toy_rays(depth: torch.Tensor) -> RayImage:
    rays = make_rays(depth.float(), CAMERA, MapSettings(voxel_size_m=VOXEL_M))
    assert rays.depth_m.shape == (6, 8)  # no pooling
    return rays


def sample_voxels(rays: RayImage, pose: np.ndarray) -> dict[tuple[int, int, int], np.ndarray]:
    """(v, u, k) to exact voxel coordinates, not rounded, one sample at a time."""
    camera, result = rays.camera, {}
    for v in range(camera.height):
        for u in range(camera.width):
            ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
            point = ray * float(rays.depth_m[v, u])
            for k in range(SAMPLES):
                sample = point + ray / np.linalg.norm(ray) * (k - TRUNCATION_VOXELS) * VOXEL_M
                result[v, u, k] = (pose[:3, :3] @ sample + pose[:3, 3]) / VOXEL_M
    return result


def grid_around(voxels: dict[tuple[int, int, int], np.ndarray], channels: int) -> BlockGrid:
    """A grid with the blocks of all these voxels."""
    grid = BlockGrid(channels, VOXEL_M)
    lowest = np.floor(np.stack(list(voxels.values()))).astype(np.int64)
    assert grid.allocate(torch.from_numpy(np.unique(lowest // 8, axis=0))) == 0
    return grid


def row_of(grid: BlockGrid, voxel: np.ndarray) -> int:
    """Row of one voxel by looking through all blocks."""
    x, y, z = np.floor(voxel).astype(int).tolist()
    for row, key in enumerate(grid.keys.tolist()):
        if key == [x // 8, y // 8, z // 8]:
            return row * BLOCK_VOXELS + (x % 8 * 8 + y % 8) * 8 + z % 8
    return -1


def identity_codes() -> torch.Tensor:
    """(6, 8, 9, 2): number of the pixel and number of the sample."""
    pixel = torch.arange(6 * 8).reshape(6, 8, 1).expand(6, 8, SAMPLES)
    return torch.stack((pixel, torch.arange(SAMPLES).expand(6, 8, SAMPLES)), dim=-1).float()


def coded_updates() -> RayUpdates:
    return RayUpdates(torch.zeros(6, 8), torch.ones(6, 8, SAMPLES), identity_codes())


def layered_depth() -> torch.Tensor:
    """(6, 8) depths through centres of voxels along z, different for every pixel."""
    layers = torch.randint(110, 190, (6, 8), generator=torch.Generator().manual_seed(2))
    return (layers + 0.5) * VOXEL_M


@pytest.mark.parametrize("pose", [np.eye(4), TURNED], ids=["identity", "turned"])
def test_codes_written_through_the_rows_come_back_at_their_pixel_and_sample(pose):
    rays = toy_rays(layered_depth())
    voxels = sample_voxels(rays, pose)
    grid = grid_around(voxels, channels=2)
    rows = extract(grid, rays, torch.from_numpy(pose).float()).rows
    assert len(rows.unique()) == rows.numel() == 6 * 8 * 9  # collision-free, nothing lost
    for (v, u, k), voxel in voxels.items():
        assert int(rows[v, u, k]) == row_of(grid, voxel)
    grid.values.reshape(-1, 2)[rows] = identity_codes().half()
    assert torch.equal(extract(grid, rays, torch.from_numpy(pose).float()).states, identity_codes())


@pytest.mark.parametrize("pose", [np.eye(4), TURNED], ids=["identity", "turned"])
def test_integrated_codes_come_back_at_their_pixel_and_sample(pose):
    """On a plane parallel to the image that passes through voxel centres the round trip is exact."""
    rays = toy_rays(torch.full((6, 8), PLANE_M))
    T = torch.from_numpy(pose).float()
    grid = grid_around(sample_voxels(rays, pose), n_channels(2))
    all_blocks = torch.arange(grid.n_blocks)
    integrate(grid, look_up_updates(grid, all_blocks, rays, coded_updates(), T), max_weight=64.0)
    samples = extract(grid, rays, T)
    assert (samples.states[..., WEIGHT] == 1).all()
    assert torch.equal(samples.states[..., LATENT], identity_codes())


@pytest.mark.parametrize("pose", [np.eye(4), TURNED, SKEW], ids=["identity", "turned", "skew"])
def test_integrated_codes_come_back_in_general_position(pose):
    """Always the own pixel. A voxel's centre lies up to 0.87 voxels off the sample, so the sample may be a neighbour.

    Voxels of the two outermost samples may lie outside the band.
    """
    rays = toy_rays(layered_depth() + 0.3 * VOXEL_M)
    T = torch.from_numpy(pose).float()
    grid = grid_around(sample_voxels(rays, pose), n_channels(2))
    updates = look_up_updates(grid, torch.arange(grid.n_blocks), rays, coded_updates(), T)
    integrate(grid, updates, max_weight=64.0)
    states = extract(grid, rays, T).states
    in_band = states[..., WEIGHT] > 0
    assert in_band[..., 1:-1].all()
    pixel, sample = states[..., LATENT].unbind(-1)
    assert torch.equal(pixel[in_band], identity_codes()[..., 0][in_band])
    assert float((sample - identity_codes()[..., 1])[in_band].abs().max()) <= 1


def test_integrated_codes_come_back_through_the_visible_blocks():
    rays = toy_rays(torch.full((6, 8), PLANE_M))
    grid = grid_around(sample_voxels(rays, np.eye(4)), n_channels(2))
    blocks = visible_blocks(grid, rays, torch.eye(4))
    integrate(grid, look_up_updates(grid, blocks, rays, coded_updates(), torch.eye(4)), max_weight=64.0)
    assert torch.equal(extract(grid, rays, torch.eye(4)).states[..., LATENT], identity_codes())


@pytest.mark.parametrize("pose", [TURNED, SKEW], ids=["turned", "skew"])
def test_rows_states_and_distances_against_plain_loops(pose):
    generator = torch.Generator().manual_seed(4)
    depth = 1.6 + 0.05 * torch.rand(6, 8, generator=generator)
    depth[2, 3] = 0
    rays = toy_rays(depth)
    voxels = sample_voxels(rays, pose)
    grid = grid_around({key: voxels[key] for key in voxels if key[1] != 5}, channels=3)
    grid.values.copy_(torch.rand(grid.values.shape, generator=generator))
    samples = extract(grid, rays, torch.from_numpy(pose).float())
    flat = grid.values.reshape(-1, 3).float()
    compared = 0
    for (v, u, k), voxel in voxels.items():
        if np.abs(voxel - np.round(voxel)).min() < 1e-3:
            continue  # on a border between voxels
        if depth[v, u] == 0:
            assert int(samples.rows[v, u, k]) == -1
            assert not samples.states[v, u, k].any()
            continue
        row = row_of(grid, voxel)
        assert int(samples.rows[v, u, k]) == row
        assert torch.equal(samples.states[v, u, k], flat[row] if row >= 0 else torch.zeros(3))
        centre = (np.floor(voxel) + 0.5) * VOXEL_M
        local = pose[:3, :3].T @ (centre - pose[:3, 3]) - rays.points_m[v, u].double().numpy()
        expected = float(local @ rays.normals[v, u].double().numpy()) / TRUNCATION_M
        assert float(samples.signed_distance[v, u, k]) == pytest.approx(expected, abs=1e-4)
        compared += 1
    assert compared > 400
    assert (samples.rows[:, 5] == -1).any()  # the case "no block" has been there


def test_rays_without_measurement_read_nothing():
    grid = BlockGrid(2, VOXEL_M)
    axis = torch.arange(-2, 3)
    grid.allocate(torch.cartesian_prod(axis, axis, axis))
    grid.values.fill_(7)
    samples = extract(grid, toy_rays(torch.zeros(6, 8)), torch.eye(4))
    assert (samples.rows == -1).all()
    assert not samples.states.any()


def test_an_empty_map_reads_zeros():
    samples = extract(BlockGrid(5, VOXEL_M), toy_rays(torch.full((6, 8), 1.0)), torch.eye(4))
    assert (samples.rows == -1).all()
    assert samples.states.shape == (6, 8, SAMPLES, 5)
    assert not samples.states.any()
    assert torch.isfinite(samples.signed_distance).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_voxel_rows_and_read_states_against_plain_loops(dtype):
    generator = torch.Generator().manual_seed(6)
    grid = BlockGrid(3, 0.05, dtype=dtype)
    grid.allocate(torch.randint(-3, 3, (40, 3), generator=generator))
    grid.values.copy_(torch.rand(grid.values.shape, generator=generator))
    voxels = torch.randint(-24, 24, (20, 10, 3), generator=generator)
    rows = voxel_rows(grid, voxels)
    states = read_states(grid, rows)
    assert states.shape == (20, 10, 3)
    assert states.dtype == torch.float32
    flat = grid.values.reshape(-1, 3).float()
    for i, j in np.ndindex(20, 10):
        row = row_of(grid, voxels[i, j].numpy())
        assert int(rows[i, j]) == row
        assert torch.equal(states[i, j], flat[row] if row >= 0 else torch.zeros(3))
    assert 0 < int((rows >= 0).sum()) < 200
    assert math.prod(read_states(grid, rows[:0]).shape) == 0
