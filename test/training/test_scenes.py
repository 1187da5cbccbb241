# SPDX-License-Identifier: Apache-2.0
"""Rooms: distance and mesh say the same, and the seed says everything."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.furniture import chair, lamp, plant, shelf, table
from neuralfusion_ros.training.scenes import SIZES_M, WALL_M, Scene, random_room, tilted
from neuralfusion_ros.training.solids import Solid, box, cylinder, rod, sphere


def scene_of(*solids: Solid) -> Scene:
    return Scene(solids, np.eye(4), np.ones(3))


def distances(scene: Scene, points) -> np.ndarray:
    return scene.signed_distance(torch.as_tensor(np.asarray(points), dtype=torch.float32)).numpy()


def surface_points(solid: Solid, count: int, rng: np.random.Generator) -> np.ndarray:
    vertices, triangles = solid.mesh()
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    weights = rng.dirichlet([1, 1, 1], count)
    return weights[:, :1] * a[chosen] + weights[:, 1:2] * b[chosen] + weights[:, 2:] * c[chosen]


@pytest.mark.parametrize(
    ("solid", "point", "expected"),
    [
        (box((0, 0, 0), (2, 4, 6)), (0, 0, 0), -1.0),
        (box((0, 0, 0), (2, 4, 6)), (4, 6, 3), 5.0),
        (box((0, 0, 0), (2, 4, 6)), (2, 3, 4), np.sqrt(3)),
        (cylinder((0, 0, 0), (0, 0, 2), 0.5), (0, 0, 1), -0.5),
        (cylinder((0, 0, 0), (0, 0, 2), 0.5), (3.5, 0, 6), 5.0),
        (cylinder((0, 0, 0), (2, 0, 0), 0.5), (1, 0, 0.75), 0.25),
        (rod((0, 0, 0), (0, 2, 0), 0.1), (0.3, 2.4, 0), 0.4),
        (rod((0, 0, 0), (0, 2, 0), 0.1), (0, 1, 0), -0.1),
        (sphere((1, 1, 1), 0.5), (1, 1, 3), 1.5),
        (sphere((1, 1, 1), 0.5), (1, 1, 1), -0.5),
    ],
)
def test_distance_of_single_solids(solid, point, expected):
    assert distances(scene_of(solid), [point])[0] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_distance_moves_with_the_solid(seed):
    rng = np.random.default_rng(seed)
    solid = [
        box((0.1, 0.2, 0.3), tuple(rng.uniform(0.01, 1, 3))),
        cylinder(rng.normal(size=3), rng.normal(size=3), 0.2),
        rod(rng.normal(size=3), rng.normal(size=3), 0.01),
    ][rng.integers(3)]
    rotation, translation = Rotation.random(random_state=seed % 2**31).as_matrix(), rng.normal(size=3)
    points = rng.normal(0, 1.5, (50, 3))
    moved = distances(scene_of(solid.moved(rotation, translation)), points @ rotation.T + translation)
    np.testing.assert_allclose(moved, distances(scene_of(solid), points), atol=2e-5)


def test_union_is_the_nearest_solid():
    solids = (box((0, 0, 0), (1, 1, 1)), sphere((2, 0, 0), 0.3), rod((0, 2, 0), (0, 3, 0), 0.05))
    points = np.random.default_rng(0).uniform(-3, 3, (2000, 3))
    alone = np.stack([distances(scene_of(solid), points) for solid in solids])
    np.testing.assert_allclose(distances(scene_of(*solids), points), alone.min(axis=0), atol=1e-5)


def test_distance_does_not_depend_on_the_number_of_points():
    scene = random_room(3)
    points = torch.rand(5000, 3) * 3 - 1
    together = scene.signed_distance(points)
    torch.testing.assert_close(together[1234:1240], scene.signed_distance(points[1234:1240]), atol=1e-6, rtol=0)
    assert scene.signed_distance(points[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("solid", "tolerance_m"),
    [
        (box((1, 2, 3), (0.01, 1, 2)), 1e-5),
        (cylinder((0, 0, 0), (1, 1, 1), 0.004), 1e-3),
        (cylinder((0, 0, 0), (1, 0, 1), 0.3), 2e-3),
        (rod((0, 0, 0), (0, 1, 1), 0.02), 1e-3),
        (rod((0, 0, 0), (0, 1, 1), 0.2), 2e-3),
        (sphere((0, 1, 0), 0.04), 1e-3),
        (sphere((0, 1, 0), 0.3), 2e-3),
    ],
)
def test_mesh_lies_on_the_surface_and_is_closed(solid, tolerance_m):
    rng = np.random.default_rng(0)
    points = surface_points(solid, 4000, rng)
    assert np.abs(distances(scene_of(solid), points)).max() < tolerance_m
    vertices, triangles = solid.mesh()
    a, b, c = (vertices[triangles[:, corner]] - solid.centre for corner in range(3))
    # Every solid here is convex around its centre: normals outwards mean that each triangle adds volume.
    volumes = np.einsum("nc,nc->n", a, np.cross(b, c)) / 6
    assert volumes.min() > 0
    solid_angles = 2 * np.arctan2(
        6 * volumes,
        np.prod([np.linalg.norm(x, axis=1) for x in (a, b, c)], axis=0)
        + sum(np.einsum("nc,nc->n", p, q) * np.linalg.norm(r, axis=1) for p, q, r in ((a, b, c), (b, c, a), (c, a, b))),
    )
    assert solid_angles.sum() == pytest.approx(4 * np.pi, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_reach_bounds_the_mesh_tightly(seed):
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed % 2**31).as_matrix()
    for solid in (
        box((1, 0, 0), tuple(rng.uniform(0.1, 1, 3))).moved(turn, rng.normal(size=3)),
        cylinder(rng.normal(size=3), rng.normal(size=3), 0.3),
        rod(rng.normal(size=3), rng.normal(size=3), 0.1),
    ):
        extent = np.abs(solid.mesh()[0] - solid.centre).max(axis=0)
        assert np.all(extent <= solid.reach() + 1e-9)
        assert np.all(solid.reach() - extent < 0.01)


@pytest.mark.parametrize("builder", [table, chair, shelf, plant, lamp])
@pytest.mark.parametrize("seed", range(5))
def test_furniture_stands_on_the_floor_and_fits_a_room(builder, seed):
    vertices = np.concatenate([solid.mesh()[0] for solid in builder(np.random.default_rng(seed))])
    assert vertices[:, 2].min() == pytest.approx(0, abs=0.03)
    assert np.ptp(vertices[:, :2], axis=0).max() < 2.5


@pytest.mark.parametrize("size", SIZES_M)
def test_rooms_keep_to_their_size(size):
    scene = random_room(11, size)
    low, high = SIZES_M[size]
    assert np.all((scene.room_size_m[:2] >= low) & (scene.room_size_m[:2] <= high))
    assert 2.2 <= scene.room_size_m[2] <= 2.8
    assert scene.bounds[1, 2] - scene.bounds[0, 2] == pytest.approx(scene.room_size_m[2] + 2 * WALL_M)
    vertices, _ = scene.mesh()
    assert np.all(vertices >= scene.bounds[0] - 1e-3)
    assert np.all(vertices <= scene.bounds[1] + 1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_rooms_are_closed_and_furnished(seed):
    scene = random_room(seed)
    room = scene.room_size_m
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (4000, 3)) * room + [0, 0, room[2] / 2]
    world = points @ scene.T_world_room[:3, :3].T + scene.T_world_room[:3, 3]
    inside = distances(scene, world)
    to_shell = np.minimum(room / 2 - np.abs(points - [0, 0, room[2] / 2]), 10).min(axis=1)
    assert np.all(inside <= to_shell + 1e-4)
    assert np.mean(inside < to_shell - 0.02) > 0.2
    beyond = (points - [0, 0, room[2] / 2]) * ((room + WALL_M) / room) + [0, 0, room[2] / 2]
    walls = beyond[np.abs(points / room)[:, 0] > 0.499] @ scene.T_world_room[:3, :3].T + scene.T_world_room[:3, 3]
    assert np.all(distances(scene, walls) < 0)


def test_seed_decides_everything():
    first, again, other = random_room(5), random_room(5), random_room(6)
    np.testing.assert_array_equal(first.mesh()[0], again.mesh()[0])
    np.testing.assert_array_equal(first.T_world_room, again.T_world_room)
    assert first.mesh()[0].shape != other.mesh()[0].shape or not np.array_equal(first.mesh()[0], other.mesh()[0])


def test_whole_room_mesh_agrees_with_its_distance():
    scene = random_room(8)
    rng = np.random.default_rng(0)
    points = np.concatenate([surface_points(solid, 60, rng) for solid in scene.solids])
    found = distances(scene, points)
    # A point inside a neighbouring solid is deeper than that; none may float outside.
    assert found.max() < 2.5e-3
    assert np.mean(np.abs(found) < 2.5e-3) > 0.7
    vertices, triangles = scene.mesh()
    assert vertices.dtype == np.float32
    assert triangles.dtype == np.uint32
    assert triangles.max() == len(vertices) - 1


def test_a_tilted_scene_is_the_same_scene_in_another_world():
    scene = random_room(3)
    other = tilted(scene, np.random.default_rng(0))
    points_room = np.random.default_rng(1).uniform([-1, -1, 0], [1, 1, 2], (200, 3))
    distances = []
    for one in (scene, other):
        world = points_room @ one.T_world_room[:3, :3].T + one.T_world_room[:3, 3]
        distances.append(one.signed_distance(torch.from_numpy(world).float()))
    assert torch.allclose(distances[0], distances[1], atol=1e-5)
    assert abs(other.T_world_room[2, 2]) < 0.99
