# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuralfusion_ros.evaluation.holdout import holdout_scores, rays_through_pixels, split
from neuralfusion_ros.evaluation.method import Triangles, empty_mesh


@pytest.fixture
def slanted(studio):
    """A frame of a slanted plane, and the plane as a large triangle pair."""
    plane = studio.plane((0.5, -0.2, 0.8), 1.3)
    across = np.linalg.svd(plane.normal[None])[2][1:]
    corners = plane.normal * plane.offset_m + 50 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ across
    frame = studio.frame(plane, studio.pose((0.1, 0.2, -0.1), (3, 8, -5)))
    return frame, Triangles(corners, np.array([[0, 1, 2], [0, 2, 3]])), plane


def test_exact_mesh_predicts_every_pixel(studio, slanted):
    frame, mesh, _ = slanted
    # The tolerance is 2 cm, so take a measure a hundred times as sharp: depth scaled up with the scene.
    large = replace(frame, depth_m=frame.depth_m * 100, T_world_camera=frame.T_world_camera.copy())
    large.T_world_camera[:3, 3] *= 100
    scores = holdout_scores(Triangles(mesh.vertices * 100, mesh.triangles), [large], studio.camera, 1000.0)
    assert scores.pixels == (frame.depth_m > 0).sum()
    assert (scores.within_2cm, scores.missing, scores.floating) == (1, 0, 0)


def test_rays_go_through_integer_pixel_centres(studio):
    T_world_camera = studio.pose((1, 2, 3), (10, 20, 30))
    rays = rays_through_pixels(studio.camera, T_world_camera)
    assert rays.shape == (119, 161, 6)
    point = rays[17, 42, :3] + 2.0 * rays[17, 42, 3:]
    x, y, z = T_world_camera[:3, :3].T @ (point - T_world_camera[:3, 3])
    assert z == pytest.approx(2.0, abs=1e-5)
    assert studio.camera.fx * x / z + studio.camera.cx == pytest.approx(42, abs=1e-3)
    assert studio.camera.fy * y / z + studio.camera.cy == pytest.approx(17, abs=1e-3)


def test_nearer_farther_and_missing_surfaces(studio, slanted):
    frame, mesh, plane = slanted
    nearer = Triangles(mesh.vertices - 0.06 * plane.normal, mesh.triangles)
    scores = holdout_scores(nearer, [frame], studio.camera, 4.0)
    assert (scores.within_5cm, scores.missing, scores.floating) == (0, 0, 1)
    farther = Triangles(mesh.vertices + 0.06 * plane.normal, mesh.triangles)
    scores = holdout_scores(farther, [frame], studio.camera, 4.0)
    assert (scores.within_5cm, scores.missing, scores.floating) == (0, 0, 0)
    scores = holdout_scores(empty_mesh(), [frame], studio.camera, 4.0)
    assert (scores.within_5cm, scores.missing, scores.floating) == (0, 1, 0)


def test_only_pixels_with_depth_in_range_count(studio, slanted):
    frame, mesh, _ = slanted
    limit = float(np.median(frame.depth_m))
    scores = holdout_scores(mesh, [frame, frame], studio.camera, limit)
    assert scores.pixels == 2 * ((frame.depth_m > 0) & (frame.depth_m <= limit)).sum()
    assert scores.within_5cm == 1


def test_split_takes_turns():
    fused, held_out = split(iter("abcde"))  # type: ignore[arg-type]
    assert "".join(fused) == "ace" and "".join(held_out) == "bd"  # type: ignore[arg-type]
