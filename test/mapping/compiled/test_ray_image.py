# SPDX-License-Identifier: Apache-2.0
"""Compiled rays against those of the reference: any pooling, any image size, holes, steps."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.ray_image import make_rays
from neuralfusion_ros.mapping.ray_image import MAX_POOLING, RayImage
from neuralfusion_ros.mapping.ray_image import make_rays as reference_rays
from neuralfusion_ros.mapping.settings import MapSettings

VOXEL_M = 0.02
SETTINGS = MapSettings(voxel_size_m=VOXEL_M)
TOLERANCE = 2e-5  # metres, or parts of a feature of order one


def surface(height: int, width: int, rng: np.random.Generator, noise_m: float = 0.003, holes: float = 0.1):
    """(H, W) float32 depth: waves, a step that no plane may bend over, noise, outliers and holes."""
    v, u = np.mgrid[:height, :width]
    depth = 1.4 + 0.2 * np.sin(7 * u / width) + 0.1 * np.cos(5 * v / height)
    depth[height // 2 :, width // 2 :] += 0.7
    depth += noise_m * rng.standard_normal(depth.shape)
    depth[rng.random(depth.shape) < 0.02] *= 1.3
    depth[rng.random(depth.shape) < holes] = 0
    return torch.from_numpy(depth).float()


def camera_of(depth: torch.Tensor, focal_px: float) -> PinholeCamera:
    height, width = depth.shape
    return PinholeCamera(width, height, focal_px, 1.07 * focal_px, 0.48 * width, 0.53 * height)


def compare(depth: torch.Tensor, camera: PinholeCamera, chosen: MapSettings = SETTINGS) -> RayImage:
    """Asserts that the kernel says what the reference says, and returns it. The normal of a hole means nothing."""
    before = depth.clone()
    rays, expected = make_rays(depth, camera, chosen), reference_rays(depth, camera, chosen)
    assert torch.equal(depth.nan_to_num(-1), before.nan_to_num(-1))  # the image was only read
    assert rays.camera == expected.camera
    assert torch.equal(rays.valid, expected.valid)
    for name in ("depth_m", "nearest_m", "points_m", "features"):
        close(getattr(rays, name), getattr(expected, name), name)
    close(rays.normals[rays.valid], expected.normals[rays.valid], "normals")
    assert torch.isfinite(rays.normals).all()
    return rays


def close(found: torch.Tensor, expected: torch.Tensor, name: str) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=1e-5, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("factor", range(1, MAX_POOLING + 1))
@pytest.mark.parametrize("noise_m", [0.0, 0.003, 0.1])
def test_any_pooling(factor, noise_m):
    depth = surface(30 * factor + factor // 2, 37 * factor, np.random.default_rng(factor), noise_m)
    rays = compare(depth, camera_of(depth, factor * float(depth[depth > 0].median()) / VOXEL_M))
    assert rays.depth_m.shape == (30, 37)
    assert 0.8 < float(rays.valid.float().mean()) <= 1


@pytest.mark.parametrize(
    ("width", "height"), [(321, 239), (97, 61), (33, 17), (8, 8), (5, 5), (4, 3), (1, 1), (1, 40), (200, 5), (5, 200)]
)
@pytest.mark.parametrize("focal_px", [4.0, 90.0, 500.0])
def test_any_image_size(width, height, focal_px):
    depth = surface(height, width, np.random.default_rng(width))
    depth[0, 0] = 1.5
    compare(depth, camera_of(depth, focal_px))


@pytest.mark.parametrize("nothing", [0.0, math.nan, math.inf, -math.inf, -1.0, 0.05, 5.001, 1e30])
@pytest.mark.parametrize("focal_px", [70.0, 210.0])
def test_pixels_without_a_usable_measurement(nothing, focal_px):
    rng = np.random.default_rng(3)
    depth = surface(72, 96, rng)
    depth[torch.from_numpy(rng.random((72, 96)) < 0.4)] = nothing
    depth[:30, :30] = nothing
    rays = compare(depth, camera_of(depth, focal_px))
    assert 0 < int(rays.valid.sum()) < rays.valid.numel()


@pytest.mark.parametrize("nothing", [0.0, math.nan, 100.0])
@pytest.mark.parametrize("size", [(72, 96), (17, 33), (3, 4)])
def test_an_image_without_measurements(size, nothing):
    depth = torch.full(size, nothing)
    rays = compare(depth, camera_of(depth, 100.0))
    assert not rays.valid.any()
    assert not rays.features.any()
    assert not rays.points_m.any()


@pytest.mark.parametrize("step_m", [0.01, 0.07, 0.09, 2.0])
@pytest.mark.parametrize("focal_px", [70.0, 280.0])
def test_steps_along_rows_and_columns(step_m, focal_px):
    """Smaller and larger than the reach of the plane fit, and inside a tile."""
    for axis in (0, 1):
        depth = torch.full((72, 96), 1.5)
        depth.narrow(axis, 0, 41).add_(step_m)
        compare(depth, camera_of(depth, focal_px))


def test_one_single_measurement():
    depth = torch.zeros(72, 96)
    depth[40, 48] = 1.5
    assert compare(depth, camera_of(depth, 70.0)).valid.nonzero().tolist() == [[40, 48]]


@pytest.mark.parametrize("factor", range(2, MAX_POOLING + 1))
def test_tiles_with_few_measurements(factor):
    """Tile by tile one measurement more, across the limit below which a ray has none."""
    area = factor * factor
    tiles = torch.zeros(8, 8, factor, factor)
    flat = tiles.reshape(64, area)
    values = 1.4 + 0.01 * torch.rand((64, area), generator=torch.Generator().manual_seed(factor))
    for tile in range(64):
        flat[tile, : tile % (area + 1)] = values[tile, : tile % (area + 1)]
    depth = flat.reshape(8, 8, factor, factor).transpose(1, 2).reshape(8 * factor, 8 * factor)
    rays = compare(depth, camera_of(depth, factor * 1.4 / VOXEL_M))
    assert rays.depth_m.shape == (8, 8)
    assert not rays.valid.all()


def test_limits_of_the_range():
    chosen = MapSettings(voxel_size_m=0.05, min_depth_m=1.3, max_depth_m=1.6)
    depth = surface(72, 96, np.random.default_rng(5))
    depth[5, 5:20], depth[6, 5:20] = 1.3, 1.6
    rays = compare(depth, camera_of(depth, 30.0), chosen)
    assert rays.valid[5:7, 5:20].all()
    assert not rays.valid.all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 60), st.integers(1, 60), st.floats(10, 500), st.floats(0, 1))
def test_random_images(seed, width, height, focal_px, holes):
    rng = np.random.default_rng(seed)
    depth = rng.choice([0.11, 0.5, 1.0, 1.04, 3.0, 4.9], (height, width)) * rng.uniform(0.98, 1.02, (height, width))
    depth[rng.random(depth.shape) < holes] = rng.choice([0.0, math.nan, math.inf])
    image = torch.from_numpy(depth).float()
    compare(image, camera_of(image, focal_px))
