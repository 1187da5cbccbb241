# SPDX-License-Identifier: Apache-2.0
"""The compiled integration against look_up_updates and integrate of the reference: the same bits."""

import copy

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.integrate import integrate_frame
from neuralfusion_ros.mapping.extract import SAMPLES
from neuralfusion_ros.mapping.fuse import RayUpdates
from neuralfusion_ros.mapping.integrate import Touched, band_blocks, integrate, look_up_updates, visible_blocks
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT, n_channels

VOXEL_M = 0.03
MAX_WEIGHT = 64.0


def random_updates(rays: RayImage, latent_channels: int, seed: int = 0) -> RayUpdates:
    generator = torch.Generator().manual_seed(seed)
    shape = rays.depth_m.shape
    return RayUpdates(
        torch.rand(shape, generator=generator) - 0.5,
        0.02 + 2 * torch.rand((*shape, SAMPLES), generator=generator),
        torch.randn((*shape, SAMPLES, latent_channels), generator=generator),
    )


def integrate_reference(
    grid: BlockGrid, rays: RayImage, updates: RayUpdates, T: torch.Tensor, max_weight: float
) -> Touched:
    found = look_up_updates(grid, visible_blocks(grid, rays, T), rays, updates, T)
    integrate(grid, found, max_weight)
    return found.touched(grid.n_blocks)


def compare(
    grid: BlockGrid, rays: RayImage, updates: RayUpdates, T: torch.Tensor, max_weight: float = MAX_WEIGHT
) -> Touched:
    """Integrates into the grid; asserts that it becomes, bit for bit, what the reference makes of a copy of it."""
    expected_grid = copy.deepcopy(grid)
    expected = integrate_reference(expected_grid, rays, updates, T, max_weight)
    touched = integrate_frame(grid, rays, updates, T, max_weight)
    same = grid.values.view(torch.int16) == expected_grid.values.view(torch.int16)
    assert same.all(), f"{int((~same).sum())} numbers differ"
    assert touched.voxels == expected.voxels
    assert torch.equal(touched.blocks.sort().values, expected.blocks)
    return touched


def surrounded(grid: BlockGrid) -> BlockGrid:
    """The grid with all blocks around those that it has: free space, and what lies behind the surface."""
    axis = torch.arange(-1, 2)
    grid.allocate((grid.keys.long()[:, None] + torch.cartesian_prod(axis, axis, axis)).reshape(-1, 3))
    return grid


@pytest.mark.parametrize("latent_channels", [1, 4, 8, 16])
def test_any_latent_dimension(frame_of, map_of, latent_channels):
    frame = frame_of(latent_channels)
    grid = map_of(frame, latent_channels)
    before = grid.values.clone()
    touched = compare(grid, frame.rays, random_updates(frame.rays, latent_channels), frame.T_world_camera)
    assert touched.voxels > 10_000
    changed = (grid.values != before).any(dim=1)
    assert changed.any(dim=0).all()  # every channel


@pytest.mark.parametrize("seed", range(8))
def test_any_pose_with_blocks_partly_out_of_view(frame_of, map_of, seed):
    frame = frame_of(seed, 40 + 7 * seed, 30 + 5 * seed)
    grid = surrounded(map_of(frame, 4, seed))
    touched = compare(grid, frame.rays, random_updates(frame.rays, 4), frame.T_world_camera)
    assert 0 < len(touched.blocks) < grid.n_blocks


def test_many_frames_in_sequence(frame_of):
    """What one frame leaves is what the next one starts from: rounding must not drift apart."""
    grid = BlockGrid(n_channels(4), VOXEL_M)
    for seed in range(8):
        frame = frame_of(seed)
        T = frame_of(0).T_world_camera.clone()
        T[:3, 3] += 0.02 * seed
        grid.allocate(band_blocks(frame.rays, T, VOXEL_M))
        compare(grid, frame.rays, random_updates(frame.rays, 4, seed), T)
    assert float(grid.values[..., WEIGHT].max()) > 8
    assert float(grid.values[..., FREE].max()) > 4


@pytest.mark.parametrize("max_weight", [1.0, 2.5, 20.0, 64.0, 1000.0])
def test_the_cap_of_the_evidence(frame_of, map_of, max_weight):
    """Over many frames a voxel that is seen comes down to the cap, and stays there."""
    frame = frame_of(1, 31, 23)
    grid = surrounded(map_of(frame, 1))
    before = grid.values.clone()
    for seed in range(4):
        compare(grid, frame.rays, random_updates(frame.rays, 1, seed), frame.T_world_camera, max_weight)
    evidence = (grid.values[..., WEIGHT].float() + grid.values[..., FREE].float())[(grid.values != before).any(-1)]
    assert len(evidence) > 10_000
    assert float(evidence.max()) <= 1.001 * max_weight


def test_an_untouched_map(frame_of):
    frame = frame_of(2)
    grid = BlockGrid(n_channels(8), VOXEL_M)
    grid.allocate(band_blocks(frame.rays, frame.T_world_camera, VOXEL_M))
    updates = random_updates(frame.rays, 8)
    touched = compare(surrounded(grid), frame.rays, updates, frame.T_world_camera)
    assert touched.voxels == int((grid.values[..., WEIGHT] > 0).sum()) > 0
    assert int((grid.values[..., FREE] > 0).sum()) > 1000


def test_a_wall_on_exact_numbers():
    """Distances of exactly -1, 1 and half a sample, pixels exactly between two: ties go where the reference goes."""
    camera = PinholeCamera(32, 24, 32.0, 32.0, 15.5, 11.5)
    rays = make_rays(torch.full((24, 32), 1.0), camera, MapSettings(voxel_size_m=1 / 32))
    for shift in (0.0, 1 / 64, 1 / 128):
        T = torch.eye(4)
        T[2, 3] = shift
        grid = BlockGrid(n_channels(1), 1 / 32)
        grid.allocate(band_blocks(rays, T, 1 / 32))
        assert compare(surrounded(grid), rays, random_updates(rays, 1), T).voxels > 1000


def test_the_camera_inside_the_map(frame_of):
    """Voxels behind the camera and at its centre, where the projection has no meaning."""
    frame = frame_of(3)
    grid = BlockGrid(n_channels(1), VOXEL_M)
    centre = torch.floor(frame.T_world_camera[:3, 3] / (BLOCK_SIZE * VOXEL_M)).long()
    axis = torch.arange(-3, 4)
    grid.allocate(torch.cartesian_prod(axis, axis, axis) + centre)
    touched = compare(grid, frame.rays, random_updates(frame.rays, 1), frame.T_world_camera)
    assert 0 < len(touched.blocks) < grid.n_blocks


def test_no_block_is_in_view(frame_of, map_of):
    frame = frame_of(4)
    T = frame.T_world_camera.clone()
    T[:3, 3] += 1000
    grid = map_of(frame, 4)
    before = grid.values.clone()
    touched = compare(grid, frame.rays, random_updates(frame.rays, 4), T)
    assert (touched.voxels, touched.blocks.tolist()) == (0, [])
    assert torch.equal(grid.values, before)


def test_a_map_without_blocks(frame_of):
    frame = frame_of(5)
    grid = BlockGrid(n_channels(4), VOXEL_M)
    touched = compare(grid, frame.rays, random_updates(frame.rays, 4), frame.T_world_camera)
    assert (touched.voxels, touched.blocks.tolist()) == (0, [])


def test_a_frame_without_measurements(frame_of, map_of):
    frame = frame_of(6)
    camera = frame.rays.camera
    nothing = make_rays(torch.zeros(camera.height, camera.width), camera, MapSettings(voxel_size_m=VOXEL_M))
    touched = compare(map_of(frame, 4), nothing, random_updates(nothing, 4), frame.T_world_camera)
    assert (touched.voxels, touched.blocks.tolist()) == (0, [])
