# SPDX-License-Identifier: Apache-2.0
"""Maps older than any in training: a camera that stands still, and a thing that is taken away.

A small `max_weight` makes a map old quickly: after as many frames as its weight it begins to forget.
"""

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest

from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping import Mapper, MapSettings, PinholeCamera, load_model
from neuralfusion_ros.mapping.voxel_state import LATENT
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.sensor_families import LEVELS

CAMERA = PinholeCamera(320, 240, 277.0, 277.0, 159.5, 119.5)
VOXEL_M = 0.04
MAX_WEIGHT = 8.0
CHAIR = np.array([(1.2, -0.25, 0.0), (1.6, 0.25, 0.9)])


def box(low, high):
    return o3d.geometry.TriangleMesh.create_box(*np.subtract(high, low)).translate(low)


def room(with_chair):
    """A floor and a wall, in view of a camera that looks along x."""
    mesh = box((-2, -2, -0.1), (3, 2, 0)) + box((2.5, -2, 0), (2.6, 2, 2.5))
    return mesh + box(*CHAIR) if with_chair else mesh


def frames(with_chair, count, first=0):
    """What a noisy camera sees that only sways a little."""
    mesh = room(with_chair)
    renderer = DepthRenderer(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.triangles, np.uint32))
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        angle = 0.1 * np.sin(number / 6)
        T_world_camera = np.eye(4)
        T_world_camera[:3, 0] = np.sin(angle), -np.cos(angle), 0
        T_world_camera[:3, 1] = 0, 0, -1
        T_world_camera[:3, 2] = np.cos(angle), np.sin(angle), 0
        T_world_camera[:3, 3] = -0.5, 0.1 * np.sin(number / 9), 1.0
        depth, cosine = renderer.render_with_cosine(CAMERA, T_world_camera)
        yield Frame(number * 100_000_000, LEVELS["mild"].apply(depth, CAMERA, rng, cosine), T_world_camera)


@pytest.fixture
def mapper():
    return Mapper(load_model("small"), MapSettings(VOXEL_M, max_weight=MAX_WEIGHT))


def integrate(mapper, some_frames):
    for frame in some_frames:
        mapper.integrate(frame.depth_m, frame.T_world_camera, CAMERA)


def precision(mapper):
    """Share of the mesh's vertices that lie within a quarter of a voxel of the truth."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(room(True)))
    return np.mean(scene.compute_distance(mapper.mesh().vertices).numpy() < VOXEL_M / 4)


def test_a_camera_that_stands_for_long_does_not_spoil_the_map(mapper):
    integrate(mapper, frames(True, 2 * int(MAX_WEIGHT)))
    young, triangles = precision(mapper), len(mapper.mesh().triangles)
    assert young > 0.9
    integrate(mapper, frames(True, 20 * int(MAX_WEIGHT), first=100))
    assert precision(mapper) > young - 0.02
    assert len(mapper.mesh().triangles) == pytest.approx(triangles, rel=0.2)
    assert mapper.grid.values[mapper.grid.find(mapper.grid.keys)][..., LATENT].abs().max() < 20


def vertices_at_the_chair(mapper):
    vertices = mapper.mesh().vertices
    return int(np.all((vertices > CHAIR[0] + (-0.1, -0.1, 0.1)) & (vertices < CHAIR[1] + 0.1), axis=1).sum())


def mapped_share_of_the_front(mapper):
    """Of the chair's front, as far up as the camera sees it: within half a voxel of the mesh."""
    mesh, scene = mapper.mesh(), o3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.triangles.astype(np.uint32))
    y, z = np.meshgrid(np.linspace(-0.25, 0.25, 26), np.linspace(0.3, 0.88, 30))
    front = np.stack([np.full_like(y, CHAIR[0, 0]), y, z], axis=-1).astype(np.float32)
    return np.mean(scene.compute_distance(front).numpy() < VOXEL_M / 2)


def test_a_chair_that_is_taken_away_in_a_recording_disappears(mapper, tmp_path):
    gone_at = 20
    moments = [*frames(True, gone_at), *frames(False, 4 * int(MAX_WEIGHT), first=gone_at)]
    write_bag(tmp_path / "bag", CAMERA, moments)
    recorded = list(open_recording(tmp_path / "bag"))
    integrate(mapper, recorded[:gone_at])
    assert vertices_at_the_chair(mapper) > 250
    assert mapped_share_of_the_front(mapper) > 0.99
    integrate(mapper, recorded[gone_at:])
    assert vertices_at_the_chair(mapper) == 0
