# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from neuralfusion_ros.evaluation.method import Triangles, empty_mesh
from neuralfusion_ros.evaluation.surfaces import sample_surface
from neuralfusion_ros.evaluation.thin_scene import camera_circle, thin_items, thin_scene
from neuralfusion_ros.evaluation.thin_scores import area_m2, thin_scores


def together(*meshes: Triangles) -> Triangles:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Triangles(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
    )


def moved(mesh: Triangles, *by_m: float) -> Triangles:
    return Triangles(mesh.vertices + by_m, mesh.triangles)


@pytest.fixture
def rod() -> Triangles:
    return next(item.mesh() for item in thin_items([0.01], 0) if item.kind == "upright rod")


def score(mesh: Triangles, rod: Triangles, truth: Triangles | None = None):
    return thin_scores(mesh, rod, sample_surface(rod, 4000, 1), truth or rod)


def test_perfect_lost_and_shifted_rods(rod):
    perfect = score(rod, rod)
    assert (perfect.recovered, perfect.false_nearby, perfect.f) == (1, 0, 1)
    lost = score(empty_mesh(), rod)
    assert (lost.recovered, lost.false_nearby, lost.f) == (0, 0, 0)
    shifted = score(moved(rod, 0.03, 0, 0), rod)
    assert (shifted.recovered, shifted.false_nearby) == (0, 1)


def test_the_upper_half_is_half(rod):
    middle = rod.vertices[:, 2].mean()
    half = Triangles(rod.vertices * [1, 1, 0.5] + [0, 0, 0.5 * middle + 0.2], rod.triangles)
    assert score(half, rod).recovered == pytest.approx(0.5, abs=0.03)
    assert score(half, rod).false_nearby < 0.02


def test_false_surface_counts_only_nearby_and_only_if_nothing_true_is_there(rod):
    doubled = together(rod, moved(rod, 0.03, 0, 0), moved(rod, 0.3, 0, 0))
    assert score(doubled, rod).recovered == 1
    assert score(doubled, rod).false_nearby == pytest.approx(0.5, abs=0.02)
    assert score(doubled, rod, together(rod, moved(rod, 0.03, 0, 0))).false_nearby == 0


def test_items_have_their_thickness_and_their_place():
    thicknesses_m = [0.005, 0.02]
    items = thin_items(thicknesses_m, 3)
    assert sorted({item.kind for item in items}) == ["plate", "slanted rod", "upright rod"]
    assert len(items) == 6
    for item in items:
        centre = item.solid.centre
        assert np.hypot(centre[0], centre[1]) == pytest.approx(0.9)
        inside = item.solid.half.min()
        assert 2 * inside == pytest.approx(item.thickness_m)
    again, other = thin_items(thicknesses_m, 3), thin_items(thicknesses_m, 4)
    assert all((a.solid.centre == b.solid.centre).all() for a, b in zip(items, again, strict=True))
    assert any((a.solid.centre != b.solid.centre).any() for a, b in zip(items, other, strict=True))


def test_items_do_not_touch_each_other_or_the_camera():
    items = thin_items([0.005, 0.008, 0.01, 0.015, 0.02], 0)
    for k, item in enumerate(items):
        others = [other for j, other in enumerate(items) if j != k]
        distance = thin_scene(others).signed_distance(torch.from_numpy(item.mesh().vertices))
        assert distance.min() > 0.02
    scene = thin_scene(items)
    poses = camera_circle(40)
    assert scene.signed_distance(torch.from_numpy(poses[:, :3, 3])).min() > 0.3
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1)


def test_area():
    square = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], dtype=float)
    assert area_m2(Triangles(square, np.array([[0, 1, 2], [0, 2, 3]]))) == pytest.approx(2)
