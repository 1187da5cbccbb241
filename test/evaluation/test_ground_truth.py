# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest

from neuralfusion_ros.evaluation.ground_truth import (
    BAND_VOXELS,
    TRUNCATION_VOXELS,
    build_ground_truth,
    seen_part,
)
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.view import View

VOXEL_M = 0.04


def triangles(mesh: o3d.geometry.TriangleMesh) -> Triangles:
    return Triangles(np.asarray(mesh.vertices), np.asarray(mesh.triangles))


@pytest.fixture
def sphere_truth(studio):
    """A sphere seen from one side."""
    sphere = studio.sphere((0.05, 0.02, 1.0), 0.3)
    mesh = o3d.geometry.TriangleMesh.create_sphere(0.3, resolution=80).translate((0.05, 0.02, 1.0))
    views = [View(studio.frame(sphere, studio.pose((x, 0, 0), (0, 0, 9))), studio.camera, 5.0) for x in (-0.1, 0.1)]
    return sphere, build_ground_truth(triangles(mesh), views, VOXEL_M)


def test_distances_and_signs_are_those_of_the_sphere(sphere_truth):
    sphere, truth = sphere_truth
    exact = sphere.distance(truth.centres.astype(np.float64))
    assert truth.truncation_m == TRUNCATION_VOXELS * VOXEL_M
    assert len(truth.centres) > 200
    np.testing.assert_allclose(truth.tsdf_m, exact.clip(-truth.truncation_m, truth.truncation_m), atol=2e-3)
    assert 0.2 < np.mean(truth.tsdf_m < 0) < 0.8
    assert np.abs(exact).max() <= BAND_VOXELS * VOXEL_M + 2e-3


def test_judged_are_voxel_centres_that_the_views_decide(sphere_truth):
    sphere, truth = sphere_truth
    np.testing.assert_allclose(truth.centres / VOXEL_M % 1, 0.5, atol=1e-3)
    assert len(np.unique(np.floor(truth.centres / VOXEL_M), axis=0)) == len(truth.centres)
    # The far side of the sphere was not seen: nothing there, and nothing deep inside.
    assert truth.centres[:, 2].max() < sphere.centre[2] + TRUNCATION_VOXELS * VOXEL_M
    behind = sphere.distance(truth.centres) < -TRUNCATION_VOXELS * VOXEL_M - 1e-3
    assert not behind.any()


def test_seen_surface_and_free_space(sphere_truth):
    sphere, truth = sphere_truth
    assert np.abs(sphere.distance(truth.surface)).max() < 2e-3
    assert truth.surface[:, 2].max() < sphere.centre[2]
    assert truth.surface[:, 2].min() < sphere.centre[2] - 0.29
    # Seen rays all end on the sphere here, so free space is what lies in the bounding box in front of it.
    assert (sphere.distance(truth.free_centres) > BAND_VOXELS * VOXEL_M - 1e-3).all()


def test_front_of_a_thin_plate_is_free_and_behind_it_is_left_out(studio):
    plate = o3d.geometry.TriangleMesh.create_box(1.6, 1.2, 0.01).translate((-0.8, -0.6, 1.0))
    view = View(studio.frame(studio.plane((0, 0, 1), 1.0), studio.pose((0, 0, 0))), studio.camera, 5.0)
    truth = build_ground_truth(triangles(plate), [view], VOXEL_M)
    z = truth.centres[:, 2]
    assert (truth.tsdf_m[z < 1.0] > 0).all()
    assert z.max() < 1.0  # behind, the plate's unseen back is nearer than its front
    assert z.min() > 1.0 - (BAND_VOXELS + 0.5) * VOXEL_M


def test_the_part_that_some_views_see_keeps_its_distances(studio):
    """A wall of which the second view sees only the right half."""
    # A speck in a corner of the room gives the mesh a depth to look for free space in.
    speck = [[-1, -1, 0.3], [-0.99, -1, 0.3], [-1, -0.99, 0.3]]
    wall = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1], *speck], dtype=float)
    mesh = Triangles(wall, np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]]))
    plane = studio.plane((0, 0, 1), 1.0)
    views = [View(studio.frame(plane, studio.pose((x, 0, 0))), studio.camera, 5.0) for x in (-0.4, 0.4)]
    both = build_ground_truth(mesh, views, VOXEL_M, samples=5000)
    right = seen_part(both, views[1:])
    edge_m = 0.4 - studio.camera.cx / studio.camera.fx
    assert both.surface[:, 0].min() < edge_m - 0.5
    for points in (right.centres[:, 0], right.surface[:, 0], right.free_centres[:, 0]):
        assert points.min() > edge_m - 0.1
    row = {tuple(c): d for c, d in zip(both.centres.tolist(), both.tsdf_m.tolist(), strict=True)}
    assert [row[tuple(c)] for c in right.centres.tolist()] == right.tsdf_m.tolist()
    everything = seen_part(both, views)
    assert len(everything.centres) == len(both.centres)
    assert len(everything.free_centres) == len(both.free_centres)
