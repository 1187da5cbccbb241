# SPDX-License-Identifier: Apache-2.0
"""Meshing one volume and welding several."""

import numpy as np
import pytest

from neuralfusion_ros.mapping.meshing import EMPTY_MESH, Mesh, crossed_cells, mesh_cells, weld

VOXEL_M = 0.05


def meshed(tsdf: np.ndarray, usable: np.ndarray, first_voxel: np.ndarray, voxel_size_m: float) -> Mesh:
    return mesh_cells(tsdf, crossed_cells(tsdf, usable), first_voxel, voxel_size_m)


def sphere_volume(size: int, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """(size, size, size) float32 distances in voxels to a sphere, positive outside, of points at integers."""
    points = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    return (np.linalg.norm(points - centre, axis=-1) - radius).astype(np.float32)


def faces_per_edge(mesh: Mesh) -> np.ndarray:
    edges = np.sort(mesh.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1]


def signed_volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_sphere_has_the_right_place_size_and_orientation():
    centre, radius = np.array([11.2, 12.6, 10.9]), 7.3
    volume = sphere_volume(24, tuple(centre), radius)
    first = np.array([-30, 5, 1000])
    mesh = meshed(volume, np.ones(volume.shape, bool), first, VOXEL_M)
    assert mesh.vertices.dtype == np.float32
    assert mesh.triangles.dtype == np.int32
    # The value of a voxel belongs to its centre.
    distance = np.linalg.norm(mesh.vertices / VOXEL_M - (first + 0.5 + centre), axis=1)
    np.testing.assert_allclose(distance, radius, atol=0.05)
    assert (faces_per_edge(mesh) == 2).all()
    centred = Mesh(mesh.vertices - mesh.vertices.mean(axis=0), mesh.triangles)
    ball = 4 / 3 * np.pi * (radius * VOXEL_M) ** 3
    assert signed_volume(centred) == pytest.approx(ball, rel=0.02)  # positive: normals point outwards


def test_plane_at_a_fraction_of_a_voxel():
    z = np.broadcast_to(np.arange(6, dtype=np.float32), (5, 5, 6))
    mesh = meshed(z - np.float32(2.3), np.ones(z.shape, bool), np.zeros(3, np.int64), 1.0)
    np.testing.assert_allclose(mesh.vertices[:, 2], 2.8, atol=1e-5)
    assert len(mesh.triangles) == 2 * 4 * 4
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()  # towards free space


def test_cells_with_an_unusable_corner_make_no_triangle():
    z = np.broadcast_to(np.arange(4, dtype=np.float32), (9, 9, 4)) - np.float32(1.4)
    usable = np.ones(z.shape, bool)
    usable[4, 4, 1] = False  # a corner of four cells that the plane crosses
    usable[0, 0, 3] = False  # of a cell that it does not cross
    mesh = meshed(z, usable, np.zeros(3, np.int64), 1.0)
    assert len(mesh.triangles) == 2 * (8 * 8 - 4)
    centres = mesh.vertices[mesh.triangles].mean(axis=1)
    assert not ((np.abs(centres[:, :2] - 4.5) < 1).all(axis=1)).any()


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_no_crossing_no_mesh(value):
    volume = np.full((5, 5, 5), value, np.float32)
    mesh = meshed(volume, np.ones(volume.shape, bool), np.zeros(3, np.int64), 1.0)
    assert mesh.vertices.shape == (0, 3)
    assert mesh.triangles.shape == (0, 3)


def test_unusable_volume_makes_no_mesh():
    volume = sphere_volume(12, (5.5, 5.5, 5.5), 3)
    assert len(meshed(volume, np.zeros(volume.shape, bool), np.zeros(3, np.int64), 1.0).triangles) == 0


def test_weld_joins_two_halves_of_a_sphere():
    volume = sphere_volume(20, (9.37, 9.41, 9.53), 6.2)
    whole = meshed(volume, np.ones(volume.shape, bool), np.zeros(3, np.int64), VOXEL_M)
    halves = [
        meshed(part, np.ones(part.shape, bool), np.array([first, 0, 0]), VOXEL_M)
        for part, first in ((volume[:10], 0), (volume[9:], 9))  # the layer of voxels that both read makes no cell twice
    ]
    welded = weld(halves, VOXEL_M)
    assert len(welded.triangles) == len(whole.triangles)
    assert len(welded.vertices) == len(whole.vertices)
    assert (faces_per_edge(welded) == 2).all()


def test_weld_drops_triangles_that_shrink_to_a_line():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1e-7, 0, 0]], np.float32)
    welded = weld([Mesh(vertices, np.array([[0, 1, 2], [0, 1, 3]], np.int32))], 1.0)
    assert len(welded.vertices) == 3
    assert len(welded.triangles) == 1


def test_weld_of_nothing():
    for meshes in ([], [EMPTY_MESH], [EMPTY_MESH, EMPTY_MESH]):
        assert len(weld(meshes, VOXEL_M).triangles) == 0
