# SPDX-License-Identifier: Apache-2.0
"""Vertices with normals, against a loop over triangles."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.mapping.mesh_points import plain_normals, surface_points, vertex_normals
from neuralfusion_ros.mapping.meshing import EMPTY_MESH, Mesh


def random_mesh(seed):
    random = np.random.default_rng(seed)
    triangles = np.array([random.permutation(12)[:3] for _ in range(20)], np.int32)
    return Mesh(random.normal(size=(12, 3)).astype(np.float32), triangles)


def normals_in_loop(mesh):
    sums = [np.zeros(3) for _ in mesh.vertices]
    for a, b, c in mesh.triangles:
        corner = mesh.vertices.astype(float)
        for number in (a, b, c):
            sums[number] = sums[number] + np.cross(corner[b] - corner[a], corner[c] - corner[a])
    return [vector / (np.linalg.norm(vector) or 1.0) for vector in sums]


def test_normals_are_those_of_a_loop_over_triangles():
    meshes = [random_mesh(1), EMPTY_MESH, random_mesh(2)]
    positions_m, normals = surface_points(meshes)
    np.testing.assert_array_equal(positions_m, np.concatenate([meshes[0].vertices, meshes[2].vertices]))
    expected = normals_in_loop(meshes[0]) + normals_in_loop(meshes[2])
    np.testing.assert_allclose(normals, expected, atol=1e-6)
    assert positions_m.dtype == normals.dtype == np.float32


@pytest.mark.parametrize("n_triangles", [0, 1, 3000])
def test_compiled_normals_are_the_plain_ones(n_triangles):
    random = np.random.default_rng(3)
    triangles = random.integers(0, 900, (n_triangles, 3)).astype(np.int32)
    mesh = Mesh(random.normal(size=(1000, 3)).astype(np.float32), triangles)
    expected = plain_normals(mesh.vertices, mesh.triangles)
    np.testing.assert_allclose(vertex_normals(mesh), expected, atol=1e-6)
    assert vertex_normals(mesh).dtype == expected.dtype == np.float32


def test_normals_point_to_the_side_from_which_the_corners_turn_left():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]], np.float32)
    normals = vertex_normals(Mesh(vertices, np.array([[0, 1, 2]], np.int32)))
    assert normals[:3] == pytest.approx(np.tile([0, 0, 1], (3, 1)))
    assert (normals[3] == 0).all()


def test_no_chunks_are_no_points():
    positions_m, normals = surface_points([])
    assert positions_m.shape == normals.shape == (0, 3)
