# SPDX-License-Identifier: Apache-2.0
"""The part of a surface that was seen."""

import numpy as np
import pytest

from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.seen_mesh import seen_mesh
from neuralfusion_ros.evaluation.surfaces import area_m2
from neuralfusion_ros.evaluation.view import View

SQUARE = np.array([[-4, -4, 0], [4, -4, 0], [4, 4, 0], [-4, 4, 0]], dtype=float)
FACES = np.array([[0, 2, 1], [0, 3, 2]])


def test_only_what_a_view_sees_is_left(studio):
    """A wall of 8 x 8 m at 1 m, of which the image shows a part, and another behind it."""
    vertices = np.concatenate((SQUARE + [0, 0, 1.0], SQUARE + [0, 0, 1.5]))
    walls = Triangles(vertices, np.concatenate((FACES, FACES + 4)))
    view = View(studio.frame(studio.plane((0, 0, 1), 1.0), studio.pose((0, 0, 0))), studio.camera, 5.0)
    seen = seen_mesh(walls, [view])
    camera = studio.camera
    in_image_m2 = camera.width / camera.fx * camera.height / camera.fy
    assert area_m2(Triangles(seen.vertices, seen.triangles)) == pytest.approx(in_image_m2, rel=0.05)
    np.testing.assert_allclose(seen.vertices[:, 2], 1.0, atol=1e-6)
    corners = seen.vertices[seen.triangles]
    assert np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2).max() <= 0.04 + 1e-6
    # The triangles are still turned as they were.
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] < 0).all()


def test_nothing_seen_is_an_empty_mesh(studio):
    view = View(studio.frame(studio.plane((0, 0, 1), 1.0), studio.pose((0, 0, 0))), studio.camera, 5.0)
    assert len(seen_mesh(Triangles(SQUARE - [0, 0, 3.0], FACES), [view]).triangles) == 0
