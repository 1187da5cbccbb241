# SPDX-License-Identifier: Apache-2.0
"""Pictures of meshes."""

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.pictures.front_faces import FrontFaces, Triangles
from neuralfusion_ros.pictures.picture import render_mesh, save_picture
from neuralfusion_ros.pictures.viewpoint import choose_view, levelled, up_direction
from neuralfusion_ros.training.solids import box

SIZE = (160, 120)


def room_mesh() -> Mesh:
    """A room of 4 x 3 x 2.5 m seen from inside, with a box on its floor."""
    walls, walls_faces = box((0, 0, 1.25), (4, 3, 2.5)).mesh()
    thing, thing_faces = box((0.5, 0.2, 0.4), (0.8, 0.6, 0.8)).mesh()
    faces = np.concatenate((walls_faces[:, ::-1], thing_faces + len(walls)))
    return Mesh(np.concatenate((walls, thing)).astype(np.float32), faces.astype(np.int32))


def turned(mesh: Mesh, rotation: Rotation) -> Mesh:
    return Mesh(rotation.apply(mesh.vertices).astype(np.float32), mesh.triangles)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return render_mesh(room_mesh(), size=SIZE)


def test_the_picture_shows_something_and_is_always_the_same(picture):
    assert picture.shape == (120, 160, 3) and picture.dtype == np.uint8
    background = (picture == picture[0, 0]).all(axis=2)
    assert 0.3 < 1 - background.mean() < 0.95
    assert len(np.unique(picture[~background], axis=0)) > 50
    np.testing.assert_array_equal(picture, render_mesh(room_mesh(), size=SIZE))


def test_one_looks_through_the_ceiling_at_the_floor():
    mesh = room_mesh()
    triangles = Triangles(mesh.vertices, mesh.triangles)
    view = choose_view(triangles, np.array([0.0, 0.0, 1.0]), 4 / 3)
    assert view.eye[2] > 2.5
    hits = FrontFaces(triangles, view.eye).hits(view.eye, view.rays(*SIZE))
    walls = (np.abs(hits.points[:, :2]) > (1.99, 1.49)).any(axis=1)
    assert hits.points[~walls, 2].max() < 0.81
    assert np.mean(hits.points[:, 2] < 0.01) > 0.3
    # All of the room is in the picture, and it fills it one way.
    hit = hits.hit.reshape(SIZE[::-1])
    assert not hit[[0, -1]].any() and not hit[:, [0, -1]].any()
    assert max(hit.any(axis=0).mean(), hit.any(axis=1).mean()) > 0.9


def test_up_is_found_although_it_is_given_roughly():
    rotation = Rotation.from_euler("xyz", (110, 20, 30), degrees=True)
    mesh = turned(room_mesh(), rotation)
    up = rotation.apply([0, 0, 1])
    roughly = Rotation.from_rotvec([0.15, 0.1, -0.2]).apply(up)
    np.testing.assert_allclose(levelled(Triangles(mesh.vertices, mesh.triangles), roughly), up, atol=1e-5)


def test_up_of_level_cameras():
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[0, :3, :3] = Rotation.from_rotvec([0.5, 0, 0]).as_matrix()
    poses[1, :3, :3] = Rotation.from_rotvec([-0.5, 0, 0]).as_matrix()
    up = up_direction(poses)
    np.testing.assert_allclose(up / np.linalg.norm(up), [0, -1, 0], atol=1e-12)


@pytest.mark.parametrize("corners", [[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]])
def test_tiny_meshes_have_a_picture(corners):
    mesh = Mesh(np.array(corners, np.float32), np.array([[0, 1, 2]], np.int32))
    assert render_mesh(mesh, size=(40, 30)).shape == (30, 40, 3)


def test_saving_replaces_and_leaves_nothing_else(tmp_path, picture):
    path = tmp_path / "p.png"
    path.write_text("old")
    save_picture(path, picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    assert list(tmp_path.iterdir()) == [path]
