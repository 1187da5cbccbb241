# SPDX-License-Identifier: Apache-2.0
"""The compiled inputs of the fusion network against extract and network_inputs of the reference."""

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.buffers import Buffers
from neuralfusion_ros.mapping.compiled.extract import network_inputs
from neuralfusion_ros.mapping.compiled.world_rays import world_rays
from neuralfusion_ros.mapping.extract import SAMPLES, extract
from neuralfusion_ros.mapping.fuse import SAMPLE_FEATURES
from neuralfusion_ros.mapping.fuse import network_inputs as reference_inputs
from neuralfusion_ros.mapping.ray_image import RAY_FEATURES, RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, VARIANCE, WEIGHT, n_channels

VOXEL_M = 0.03
TOLERANCE = 2e-5


def compiled_inputs(grid: BlockGrid, rays: RayImage, T: torch.Tensor) -> torch.Tensor:
    buffers = Buffers()
    inputs = RAY_FEATURES + SAMPLES * SAMPLE_FEATURES
    buffers.array("inputs", rays.depth_m.numel() + 7, inputs)[:] = float("nan")  # what an earlier frame has left there
    return network_inputs(grid, rays, world_rays(rays, T, grid.voxel_size_m), buffers)


def of_samples(inputs: torch.Tensor) -> torch.Tensor:
    """(h, w, S, SAMPLE_FEATURES)."""
    return inputs[..., RAY_FEATURES:].unflatten(-1, (SAMPLES, -1))


def compare(grid: BlockGrid, rays: RayImage, T: torch.Tensor) -> torch.Tensor:
    """Asserts that both agree, but for samples on a border between voxels. Returns the (h, w, S) rows."""
    samples = extract(grid, rays, T)
    found, expected = compiled_inputs(grid, rays, T), reference_inputs(rays, samples)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert torch.equal(found[..., :RAY_FEATURES], expected[..., :RAY_FEATURES])
    differs = ((of_samples(found) - of_samples(expected)).abs() > TOLERANCE).any(dim=-1)
    assert float(differs.float().mean()) < 1e-3
    return samples.rows


@pytest.mark.parametrize("latent_channels", [1, 4, 8, 16])
def test_any_latent_dimension(frame_of, map_of, latent_channels):
    frame = frame_of(latent_channels)
    rows = compare(map_of(frame, latent_channels), frame.rays, frame.T_world_camera)
    assert float((rows >= 0).float().mean()) > 0.8


@pytest.mark.parametrize("seed", range(6))
def test_maps_with_missing_blocks(frame_of, map_of, seed):
    """Rays enter and leave blocks that the map does not have; coordinates are negative, too."""
    frame = frame_of(seed, 97, 71)
    rows = compare(map_of(frame, 4, seed, kept=0.5), frame.rays, frame.T_world_camera)
    assert 0.2 < float((rows >= 0).float().mean()) < 0.8


def test_every_sample_reads_its_own_voxel(frame_of, map_of):
    """The mean of each voxel says its own number, in two readings because a half is too small for it."""
    frame = frame_of(2)
    grid = map_of(frame, 2)
    numbers = torch.arange(grid.values[..., 0].numel()).reshape(grid.values.shape[:2])
    read = torch.zeros((), dtype=torch.int64)
    for part, factor in ((numbers // 2000, 2000), (numbers % 2000, 1)):
        grid.values[..., MEAN] = part
        inputs = of_samples(compiled_inputs(grid, frame.rays, frame.T_world_camera))
        read = read + factor * inputs[..., 2].long()
    rows = extract(grid, frame.rays, frame.T_world_camera).rows
    assert float((read != rows.clamp(min=0)).float().mean()) < 1e-3


def test_a_map_without_blocks_gives_the_features_of_the_rays_alone(frame_of):
    frame = frame_of(3)
    inputs = compiled_inputs(BlockGrid(n_channels(4), VOXEL_M), frame.rays, frame.T_world_camera)
    assert torch.equal(inputs[..., :RAY_FEATURES], frame.rays.features)
    assert not inputs[..., RAY_FEATURES:].any()
    assert inputs.shape[-1] == RAY_FEATURES + SAMPLES * SAMPLE_FEATURES


def test_rays_without_a_measurement_are_zero(frame_of, map_of):
    frame = frame_of(4)
    inputs = compiled_inputs(map_of(frame, 4), frame.rays, frame.T_world_camera)
    assert not frame.rays.valid.all()
    assert not inputs[~frame.rays.valid].any()
    assert inputs[frame.rays.valid].any(dim=-1).all()


def test_a_frame_without_measurements_is_zero(frame_of, map_of):
    camera = PinholeCamera(32, 24, 32.0, 32.0, 15.5, 11.5)
    rays = make_rays(torch.zeros(24, 32), camera, MapSettings(voxel_size_m=VOXEL_M))
    assert not compiled_inputs(map_of(frame_of(0), 4), rays, torch.eye(4)).any()


@pytest.mark.parametrize("weight", [0.0, 6e-8, 0.004, 0.5, 1000.0])
@pytest.mark.parametrize("free", [0.0, 6e-8, 0.004, 0.5, 1000.0])
def test_extreme_evidence(frame_of, map_of, weight, free):
    """Little evidence next to none, and the most there can be; a variance that rounding has made negative."""
    frame = frame_of(5, 31, 23)
    grid = map_of(frame, 1)
    grid.values[..., WEIGHT], grid.values[..., FREE] = weight, free
    grid.values[::2, :, VARIANCE] = -1e-4
    compare(grid, frame.rays, frame.T_world_camera)


def test_the_map_may_have_grown(frame_of, map_of):
    """The table is another one, and larger, after the index has grown."""
    frame = frame_of(6)
    grid = map_of(frame, 1)
    before = compiled_inputs(grid, frame.rays, frame.T_world_camera)
    axis = torch.arange(500, 515)
    grid.allocate(torch.cartesian_prod(axis, axis, axis))
    assert torch.equal(compiled_inputs(grid, frame.rays, frame.T_world_camera), before)
    compare(grid, frame.rays, frame.T_world_camera)
