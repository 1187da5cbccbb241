# SPDX-License-Identifier: Apache-2.0
"""Rendered depth against closed forms and against marching along the signed distance."""

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.camera_paths import hand_path
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import Scene, random_room
from neuralfusion_ros.training.solids import box, sphere

CAMERA = PinholeCamera(64, 48, 50.0, 55.0, 30.0, 25.0)


def marched_depth(scene: Scene, camera: PinholeCamera, pose: np.ndarray) -> np.ndarray:
    """Depth along z by sphere tracing; nan where the march has not come to a surface."""
    rays = camera.rays().numpy().reshape(-1, 3).astype(np.float64)
    lengths = np.linalg.norm(rays, axis=1)
    directions, travelled = (rays / lengths[:, None]) @ pose[:3, :3].T, np.zeros(len(rays))
    for _ in range(200):
        points = pose[:3, 3] + travelled[:, None] * directions
        distance = scene.signed_distance(torch.from_numpy(points).float()).numpy()
        travelled += np.maximum(distance, 0)
    depth = np.where(distance < 1e-4, travelled / lengths, np.nan)
    return depth.reshape(camera.height, camera.width)


def test_wall_has_one_depth_and_the_principal_point_is_an_integer_pixel():
    wall = Scene((box((0.0, 0.0, 2.5), (20, 20, 1)),), np.eye(4), np.ones(3))
    depth, cosine = DepthRenderer(*wall.mesh()).render_with_cosine(CAMERA, np.eye(4))
    np.testing.assert_allclose(depth, 2.0, atol=1e-5)
    assert cosine[25, 30] == pytest.approx(1.0, abs=1e-6)
    assert cosine[25, 40] == pytest.approx(1 / np.hypot(1, 10 / 50), abs=1e-5)


def test_edge_falls_between_the_right_pixels():
    # The edge at x = 0.1, z = 1 projects to u = 30 + 5; half a pixel less keeps pixel 34 and loses pixel 35.
    plate = Scene((box((-4.91, 0, 1.05), (10, 10, 0.1)),), np.eye(4), np.ones(3))
    depth = DepthRenderer(*plate.mesh()).render(CAMERA, np.eye(4))
    assert np.all(depth[:, :35] > 0)
    assert np.all(depth[:, 35:] == 0)


def test_nothing_hit_is_zero():
    ball = Scene((sphere((0, 0, 3), 0.5),), np.eye(4), np.ones(3))
    behind = np.diag([-1.0, 1.0, -1.0, 1.0])
    depth, cosine = DepthRenderer(*ball.mesh()).render_with_cosine(CAMERA, behind)
    assert depth.shape == cosine.shape == (48, 64)
    assert depth.dtype == cosine.dtype == np.float32
    assert not depth.any()
    assert not cosine.any()


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_marching_along_the_distance(seed):
    scene = random_room(seed)
    pose = hand_path(scene, np.random.default_rng(seed), 12)[-1]
    camera = PinholeCamera(40, 30, 35.0, 35.0, 19.5, 14.5)
    rendered = DepthRenderer(*scene.mesh()).render(camera, pose)
    marched = marched_depth(scene, camera, pose)
    arrived = np.isfinite(marched)
    assert arrived.mean() > 0.9
    error = np.abs(rendered - marched)[arrived]
    # A ray past an edge may hit on one side only, and a facet stands up to 2 mm inside a curve.
    assert np.mean(error < 5e-3) > 0.985
    assert np.median(error) < 5e-4


def test_cosine_is_that_of_the_surface_normal():
    scene = Scene((sphere((0.2, 0.1, 2.0), 0.8),), np.eye(4), np.ones(3))
    depth, cosine = DepthRenderer(*scene.mesh()).render_with_cosine(CAMERA, np.eye(4))
    rays = CAMERA.rays().numpy()
    hit = depth > 0
    normal = (rays * depth[..., None] - [0.2, 0.1, 2.0]) / 0.8
    expected = np.abs(np.einsum("hwc,hwc->hw", normal, rays)) / np.linalg.norm(rays, axis=-1)
    clear = hit & (expected > 0.3)
    np.testing.assert_allclose(cosine[clear], expected[clear], atol=0.06)
