# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch

from neuralfusion_ros.evaluation.view import View


def test_surface_depth_is_exact_on_a_slanted_plane(studio):
    plane = studio.plane((0.5, -0.3, 0.8), 1.2)
    T_world_camera = studio.pose((0.1, 0.05, -0.1), (5, 3, -9))
    view = View(studio.frame(plane, T_world_camera), studio.camera, max_depth_m=5.0)
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((500, 3), generator=generator) * torch.tensor([0.5, 0.5, 0.4]) + torch.tensor([0.0, -0.2, 0.6])
    points_camera = view.to_camera(points)
    depth = view.surface_depth(points_camera)
    rays = (points.numpy() - T_world_camera[:3, 3]) / points_camera[:, 2:].numpy()
    inside = studio.camera.project(points_camera) - 0.5 * torch.tensor([studio.camera.width, studio.camera.height])
    seen = (inside.abs() < torch.tensor([79.0, 58.0])).all(1).numpy()  # all four neighbours lie in the image
    assert seen.mean() > 0.8
    np.testing.assert_allclose(depth.numpy()[seen], plane.depth(rays, T_world_camera[:3, 3])[seen], atol=1e-5)
    nearest = view.nearest_depth(points_camera)
    assert (nearest - depth).abs()[seen].max() > 1e-3


def test_surface_depth_does_not_blend_over_an_edge(studio):
    frame = studio.frame(studio.plane((0, 0, 1), 2.0), studio.pose((0, 0, 0)))
    frame.depth_m[:, 80:] = 1.0
    view = View(frame, studio.camera, max_depth_m=5.0)
    u = torch.tensor([79.2, 79.8])
    points = torch.stack(((u - studio.camera.cx) / studio.camera.fx, torch.zeros(2), torch.ones(2)), dim=1)
    assert view.surface_depth(points).tolist() == [2.0, 1.0]


def test_outside_the_image_there_is_no_depth(studio):
    view = View(studio.frame(studio.plane((0, 0, 1), 2.0), studio.pose((0, 0, 0))), studio.camera, max_depth_m=1.5)
    assert view.depth_m.max() == 0
    view = View(studio.frame(studio.plane((0, 0, 1), 2.0), studio.pose((0, 0, 0))), studio.camera, max_depth_m=3.0)
    points = torch.tensor([[0.0, 0.0, -1.0], [3.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert view.nearest_depth(points).tolist() == [0.0, 0.0, 0.0, 2.0]


def test_spheres_in_view_misses_none_that_holds_a_visible_point(studio):
    T_world_camera = studio.pose((0.2, -0.1, 0.3), (20, -30, 40))
    view = View(studio.frame(studio.plane((0, 0, 1), 2.0), T_world_camera), studio.camera, max_depth_m=5.0)
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform(-2, 2, (20000, 3)).astype(np.float32))
    step = rng.normal(size=points.shape)
    centres = points + torch.from_numpy((0.099 * step / np.linalg.norm(step, axis=1, keepdims=True)).astype(np.float32))
    visible = view.nearest_depth(view.to_camera(points)) >= view.to_camera(points)[:, 2]
    visible &= view.to_camera(points)[:, 2] > 0
    touched = view.spheres_in_view(centres, 0.1, 0.0)
    assert visible.sum() > 100
    assert touched[visible].all()
    assert touched.float().mean() < 0.5
