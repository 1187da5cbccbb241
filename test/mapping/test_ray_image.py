# SPDX-License-Identifier: Apache-2.0
"""Depth images to rays: pooling, outliers, invalid pixels, tangent planes, any image size."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import minimum_filter

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.ray_image import MAX_POOLING, RAY_FEATURES, RayImage, make_rays, pooling_factor
from neuralfusion_ros.mapping.settings import MapSettings

VOXEL_M = 0.02
SETTINGS = MapSettings(voxel_size_m=VOXEL_M)
CAMERA = PinholeCamera(96, 72, 80.0, 84.0, 46.5, 36.0)
NARROW = PinholeCamera(64, 48, 95.0, 100.0, 30.5, 24.0)


def plane_depth(camera: PinholeCamera, normal: torch.Tensor, distance_m: float) -> torch.Tensor:
    """(H, W) exact depth of the plane normal . p = -distance_m, in double precision."""
    return -distance_m / (camera.rays().double() @ normal.double())


def slanted(tilt_deg: float, around_deg: float) -> torch.Tensor:
    """(3,) normal that faces the camera, tilted away from it."""
    tilt, around = math.radians(tilt_deg), math.radians(around_deg)
    return torch.tensor([math.sin(tilt) * math.cos(around), math.sin(tilt) * math.sin(around), -math.cos(tilt)])


def angles_deg(normals: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(torch.linalg.cross(normals, expected.expand_as(normals)).norm(dim=-1).asin())


def assert_same(a: RayImage, b: RayImage) -> None:
    assert a.camera == b.camera
    for name in ("depth_m", "points_m", "normals", "features"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize(
    ("tilt_deg", "inner_deg", "edge_deg"), [(0, 0.01, 0.01), (20, 0.5, 3), (35, 0.5, 3), (45, 1, 8)]
)
@pytest.mark.parametrize("around_deg", [0, 70, 215])
def test_slanted_plane_without_pooling_is_exact(tilt_deg, inner_deg, edge_deg, around_deg):
    """At the edge of the image a part of the window of the fit is missing."""
    normal = slanted(tilt_deg, around_deg)
    depth = plane_depth(NARROW, normal, 1.4)
    rays = make_rays(depth.float(), NARROW, SETTINGS)
    assert rays.camera == NARROW
    torch.testing.assert_close(rays.depth_m, depth.float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(rays.points_m, NARROW.rays() * depth[..., None].float(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(rays.normals.norm(dim=-1), torch.ones(48, 64))
    assert float(angles_deg(rays.normals, normal)[2:-2, 2:-2].max()) < inner_deg
    assert float(angles_deg(rays.normals, normal).max()) < edge_deg


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("tilt_deg", [0, 40])
def test_slanted_plane_with_pooling(factor, tilt_deg):
    distance_m = 1.4 * math.cos(math.radians(tilt_deg))
    focal_px = 1.4 / VOXEL_M * factor  # rays are one voxel apart in the middle of the image
    camera = PinholeCamera(48 * factor, 36 * factor, focal_px, focal_px, 24.0 * factor, 17.0 * factor)
    normal = slanted(tilt_deg, 130)
    rays = make_rays(plane_depth(camera, normal, distance_m).float(), camera, SETTINGS)
    assert rays.camera == camera.pooled(factor)
    exact = plane_depth(rays.camera, normal, distance_m).float()
    # The mean depth of a tile of a plane is that of its centre up to the square of the tile's size.
    torch.testing.assert_close(rays.depth_m, exact, atol=0.02 * VOXEL_M, rtol=0)
    assert float(angles_deg(rays.normals, normal)[2:-2, 2:-2].max()) < 0.5


def test_normals_face_the_camera_also_on_noise():
    depth = torch.rand(72, 96, generator=torch.Generator().manual_seed(0)) * 4
    rays = make_rays(depth, CAMERA, SETTINGS)
    towards = (rays.normals * rays.points_m).sum(-1)[rays.valid]
    assert float((towards < 0).float().mean()) > 0.99
    torch.testing.assert_close(rays.normals.norm(dim=-1), torch.ones_like(rays.depth_m))


def test_a_step_does_not_bend_the_planes_beside_it():
    depth = torch.full((72, 96), 1.5)
    depth[:, 48:] = 2.5
    rays = make_rays(depth, CAMERA, SETTINGS)
    torch.testing.assert_close(rays.normals, torch.tensor([0.0, 0.0, -1.0]).expand(72, 96, 3), atol=1e-6, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_outliers_in_a_tile_do_not_move_its_depth(data):
    factor = 4
    camera = PinholeCamera(32, 24, 100.0 * factor, 100.0 * factor, 16.0, 12.0)
    depth = torch.full((24, 32), 2.0)
    outliers = data.draw(st.lists(st.integers(0, 15), max_size=7, unique=True))
    for pixel in outliers:
        depth[8 + pixel // 4, 12 + pixel % 4] = data.draw(st.sampled_from([0.4, 1.9, 2.1, 4.5]))
    rays = make_rays(depth, camera, MapSettings(voxel_size_m=0.02))
    assert rays.depth_m.shape == (6, 8)
    torch.testing.assert_close(rays.depth_m, torch.full((6, 8), 2.0))


def test_pixels_near_the_median_are_averaged():
    camera = PinholeCamera(32, 24, 400.0, 400.0, 16.0, 12.0)
    depth = torch.full((24, 32), 2.0)
    depth[::2] += 0.008
    assert float(make_rays(depth, camera, SETTINGS).depth_m[2, 3]) == pytest.approx(2.004, abs=1e-5)


@pytest.mark.parametrize("nothing", [0.0, math.nan, math.inf, -math.inf, -1.0, 0.05, 5.001, 60.0])
def test_pixels_without_a_usable_measurement_count_as_zero(nothing):
    """What is not finite or out of range has no effect at all, at any share of the image."""
    camera = PinholeCamera(64, 48, 160.0, 160.0, 31.0, 24.0)
    generator = torch.Generator().manual_seed(3)
    depth = 1.5 + 0.5 * torch.rand(48, 64, generator=generator)
    bad = torch.rand(48, 64, generator=generator) < 0.4
    bad[:20, :20] = True
    rays = make_rays(torch.where(bad, nothing, depth), camera, SETTINGS)
    assert_same(rays, make_rays(torch.where(bad, 0.0, depth), camera, SETTINGS))
    assert torch.isfinite(rays.features).all()
    assert not rays.valid[: 20 // 2 - 1, : 20 // 2 - 1].any()
    assert rays.valid[12:, 12:].float().mean() > 0.95


def test_range_limits_are_inclusive():
    chosen = MapSettings(voxel_size_m=VOXEL_M, min_depth_m=1.0, max_depth_m=2.0)
    depth = torch.full((72, 96), 1.0)
    depth[:, 48:] = 2.0
    assert make_rays(depth, CAMERA, chosen).valid.all()


@pytest.mark.parametrize(
    ("width", "height", "focal_px"),
    [
        (641, 479, 300.0),
        (640, 480, 320.0),
        (33, 17, 300.0),
        (33, 17, 4.0),
        (8, 8, 300.0),
        (8, 8, 4.0),
        (4, 3, 300.0),
        (1, 1, 1.0),
        (200, 5, 300.0),
    ],
)
def test_any_image_size_works(width, height, focal_px):
    camera = PinholeCamera(width, height, focal_px, focal_px, width / 2, height / 2)
    rays = make_rays(torch.full((height, width), 1.25), camera, SETTINGS)
    h, w = rays.camera.height, rays.camera.width
    assert rays.depth_m.shape == (h, w)
    assert rays.points_m.shape == rays.normals.shape == (h, w, 3)
    assert rays.features.shape == (h, w, RAY_FEATURES)
    assert rays.valid.all()
    assert torch.isfinite(rays.features).all()
    torch.testing.assert_close(rays.depth_m, torch.full((h, w), 1.25))
    torch.testing.assert_close(rays.normals, torch.tensor([0.0, 0.0, -1.0]).expand(h, w, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("nothing", [0.0, math.nan, 100.0])
@pytest.mark.parametrize("size", [(96, 72), (33, 17), (8, 8)])
def test_an_image_without_measurements_gives_no_valid_ray(size, nothing):
    camera = PinholeCamera(size[0], size[1], 100.0, 100.0, 4.0, 4.0)
    rays = make_rays(torch.full(size[::-1], nothing), camera, SETTINGS)
    assert not rays.valid.any()
    assert not rays.features.any()
    assert not rays.points_m.any()
    assert torch.isfinite(rays.normals).all()


def test_one_single_measurement_is_kept():
    depth = torch.zeros(72, 96)
    depth[40, 48] = 1.5
    rays = make_rays(depth, CAMERA, SETTINGS)
    assert rays.valid.nonzero().tolist() == [[40, 48]]
    assert torch.isfinite(rays.normals).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(5, 40), st.integers(5, 40), st.floats(10, 400), st.floats(0, 1))
def test_features_are_finite_and_of_order_one(seed, width, height, focal_px, holes):
    rng = np.random.default_rng(seed)
    depth = rng.choice([0.11, 0.5, 1.0, 3.0, 5.0], (height, width)) * rng.uniform(0.9, 1.1, (height, width))
    depth[rng.random(depth.shape) < holes] = rng.choice([0.0, math.nan, math.inf])
    camera = PinholeCamera(width, height, focal_px, focal_px, width / 2, height / 2)
    rays = make_rays(torch.from_numpy(depth).float(), camera, SETTINGS)
    assert torch.isfinite(rays.features).all()
    assert float(rays.features.abs().max()) <= 3
    assert not rays.features[~rays.valid].any()
    assert torch.isfinite(rays.normals).all()


def test_the_nearest_of_a_ray_and_those_around_it_against_a_plain_filter():
    depth = 1.0 + torch.rand(24, 32, generator=torch.Generator().manual_seed(3))
    depth[torch.rand(24, 32, generator=torch.Generator().manual_seed(4)) < 0.4] = 0
    depth[10:, :8] = 0
    rays = make_rays(depth, PinholeCamera(32, 24, 30.0, 30.0, 16.0, 12.0), SETTINGS)
    measured = np.where(rays.depth_m > 0, rays.depth_m, np.inf)
    expected = minimum_filter(measured, size=3, mode="constant", cval=np.inf)
    assert np.isinf(expected).sum() > 10
    np.testing.assert_array_equal(rays.nearest_m.numpy(), expected)


def test_features_do_not_depend_on_the_scale_of_the_world():
    """Distances are seen in voxels: the same scene at twice the size with voxels twice as large looks the same."""
    depth = 1.0 + torch.rand(72, 96, generator=torch.Generator().manual_seed(5))
    small = make_rays(depth, CAMERA, SETTINGS)
    large = make_rays(2 * depth, CAMERA, MapSettings(voxel_size_m=2 * VOXEL_M))
    torch.testing.assert_close(small.features, large.features, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(small.normals, large.normals, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("depth_m", [0.3, 1.0, 2.0, 4.5])
@pytest.mark.parametrize("focal_px", [60.0, 250.0, 600.0])
def test_rays_are_one_voxel_apart_at_the_median_depth(depth_m, focal_px):
    camera = PinholeCamera(320, 240, focal_px, focal_px, 160.0, 120.0)
    factor = pooling_factor(torch.full((240, 320), depth_m), camera, MapSettings(voxel_size_m=VOXEL_M))
    wanted = focal_px * VOXEL_M / depth_m
    assert 1 <= factor <= MAX_POOLING
    assert abs(factor - min(max(wanted, 1), MAX_POOLING)) <= 0.5
