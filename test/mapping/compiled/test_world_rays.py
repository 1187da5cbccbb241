# SPDX-License-Identifier: Apache-2.0
"""Rays in the world's frame, and the blocks that a frame needs, against the reference."""

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BlockGrid
from neuralfusion_ros.mapping.block_index import KEY_LIMIT
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.world_rays import WorldRays, band_blocks, world_rays
from neuralfusion_ros.mapping.integrate import band_blocks as reference_blocks
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings

VOXEL_M = 0.03


def compiled_blocks(grid: BlockGrid, rays: RayImage, T: torch.Tensor) -> torch.Tensor:
    return band_blocks(grid, world_rays(rays, T, grid.voxel_size_m))


def as_set(blocks: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(block) for block in blocks.tolist()}


def at(x: float, y: float, z: float) -> torch.Tensor:
    T = torch.eye(4)
    T[:3, 3] = torch.tensor([x, y, z])
    return T


@pytest.mark.parametrize("seed", range(4))
def test_rays_are_turned_moved_and_counted_in_voxels(frame_of, seed):
    frame = frame_of(seed)
    world = world_rays(frame.rays, frame.T_world_camera, VOXEL_M)
    valid = frame.rays.valid.flatten().numpy()
    R, t = frame.T_world_camera[:3, :3].double().numpy(), frame.T_world_camera[:3, 3].double().numpy()
    points_m, normals = (part.reshape(-1, 3).double().numpy() for part in (frame.rays.points_m, frame.rays.normals))
    directions = points_m[valid] / np.linalg.norm(points_m[valid], axis=1, keepdims=True)
    np.testing.assert_array_equal(world.depth_m, frame.rays.depth_m.flatten().numpy())
    np.testing.assert_allclose(world.points[valid], (points_m[valid] @ R.T + t) / VOXEL_M, atol=1e-4)
    np.testing.assert_allclose(world.directions[valid], directions @ R.T, atol=1e-6)
    np.testing.assert_allclose(world.normals[valid], normals[valid] @ R.T, atol=1e-6)
    assert not world.points[~valid].any()
    assert np.isfinite(world.directions).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_same_blocks_as_the_reference(frame_of, seed):
    """Up to blocks that a sample misses or touches by rounding."""
    frame = frame_of(seed)
    found = as_set(compiled_blocks(BlockGrid(5, VOXEL_M), frame.rays, frame.T_world_camera))
    expected = as_set(reference_blocks(frame.rays, frame.T_world_camera, VOXEL_M))
    assert len(expected) > 100
    assert any(min(block) < 0 for block in expected)
    assert len(found ^ expected) <= 0.005 * len(expected)


@pytest.mark.parametrize("move", [(0.0, 0.0, 0.0), (-1.0, -2.0, -3.0), (-0.115, 0.125, -0.12)])
def test_a_wall_on_exact_numbers_gives_exactly_the_same_blocks(move):
    """Voxels of 1/32 m, and samples that lie on borders between blocks: they belong to the upper one."""
    camera = PinholeCamera(32, 24, 32.0, 32.0, 15.5, 11.5)
    rays = make_rays(torch.full((24, 32), 1.0), camera, MapSettings(voxel_size_m=1 / 32))
    found = compiled_blocks(BlockGrid(5, 1 / 32), rays, at(*move))
    assert as_set(found) == as_set(reference_blocks(rays, at(*move), 1 / 32))


def test_blocks_of_the_map_are_not_listed(frame_of, map_of):
    frame = frame_of(1)
    grid = map_of(frame, 1, kept=0.5)
    present = as_set(grid.keys)
    listed = as_set(compiled_blocks(grid, frame.rays, frame.T_world_camera))
    everything = as_set(compiled_blocks(BlockGrid(5, VOXEL_M), frame.rays, frame.T_world_camera))
    assert listed == everything - present
    assert present & everything
    grid.allocate(torch.tensor(sorted(listed)))
    assert len(compiled_blocks(grid, frame.rays, frame.T_world_camera)) == 0


@pytest.mark.parametrize("toward", [1, -1])
def test_the_whole_band_is_covered(toward):
    """One ray along an axis: every block with a voxel of the band, behind the surface as well as in front of it."""
    for place in np.linspace(-40, 40, 321):
        points = np.array([[3.5, -2.5, place]], np.float32)
        along = np.array([[0, 0, toward]], np.float32)
        blocks = as_set(band_blocks(BlockGrid(5, VOXEL_M), WorldRays(np.ones(1, np.float32), points, along, -along)))
        depths = range(int((place - 4) // BLOCK_SIZE), int((place + 4) // BLOCK_SIZE) + 1)
        assert blocks == {(0, -1, z) for z in depths}


def test_a_frame_without_measurements_needs_no_blocks():
    camera = PinholeCamera(32, 24, 32.0, 32.0, 15.5, 11.5)
    rays = make_rays(torch.zeros(24, 32), camera, MapSettings(voxel_size_m=VOXEL_M))
    blocks = compiled_blocks(BlockGrid(5, VOXEL_M), rays, torch.eye(4))
    assert blocks.shape == (0, 3)
    assert BlockGrid(5, VOXEL_M).allocate(blocks) == 0


@pytest.mark.parametrize("away", [1.0, 1.5, 2.0**11, 2.0**12, 2.0**20, 1e12, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
def test_blocks_out_of_range_are_refused_and_never_land_elsewhere(away, sign):
    """away: where the camera is, in units of the largest coordinate. 2^12 is one turn of 32 bits further."""
    camera = PinholeCamera(32, 24, 32.0, 32.0, 15.5, 11.5)
    rays = make_rays(torch.full((24, 32), 1.0), camera, MapSettings(voxel_size_m=1 / 32))
    T = at(sign * away * KEY_LIMIT * BLOCK_SIZE / 32, 0.0, 0.0)
    grid, expected = BlockGrid(5, 1 / 32), BlockGrid(5, 1 / 32)
    assert grid.allocate(compiled_blocks(grid, rays, T)) == expected.allocate(reference_blocks(rays, T, 1 / 32))
    assert as_set(grid.keys) == as_set(expected.keys)
