# SPDX-License-Identifier: Apache-2.0
"""What a map should make of things thinner than its voxels."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.scenes import Scene
from neuralfusion_ros.training.solids import Solid, box, rod, sphere
from neuralfusion_ros.training.thin_things import mappable

VOXEL_M = 0.02
THIN_ROD = rod((0, 0, -0.3), (0, 0, 0.3), 0.004)
THIN_PLATE = box((1, 0, 0), (0.006, 0.4, 0.4))
TURN = Rotation.from_euler("xyz", (0.3, -0.7, 0.4)).as_matrix()


def scene_of(*solids: Solid) -> Scene:
    return Scene(solids, np.eye(4), np.ones(3))


def missed_share(scene: Scene, along: torch.Tensor) -> float:
    """Of 200 shifts of a grid: how many have no voxel's centre inside, within a slab of two voxels across the thing."""
    rng = torch.Generator().manual_seed(0)
    axis = (torch.arange(-2, 3) + 0.0) * VOXEL_M
    across = torch.cartesian_prod(axis, axis)
    centres = torch.cat([across, torch.zeros(len(across), 1)], dim=1)
    shifts = torch.rand((200, 1, 3), generator=rng) * VOXEL_M
    points = centres + shifts + along
    distance = scene.signed_distance(points.reshape(-1, 3)).reshape(200, -1)
    return float((distance.amin(dim=1) >= 0).float().mean())


def test_a_grid_along_a_thin_rod_hardly_misses_the_thickened_one():
    scene = scene_of(THIN_ROD)
    assert missed_share(scene, torch.zeros(3)) > 0.8
    assert missed_share(mappable(scene, VOXEL_M).scene, torch.zeros(3)) < 0.02


def test_a_grid_along_a_thin_plate_hardly_misses_the_thickened_one():
    scene = scene_of(THIN_PLATE)
    assert missed_share(scene, torch.tensor([1.0, 0, 0])) > 0.5
    assert missed_share(mappable(scene, VOXEL_M).scene, torch.tensor([1.0, 0, 0])) < 0.15


@pytest.mark.parametrize("solid", [THIN_ROD, THIN_PLATE, sphere((0, 0, 0), 0.003)])
def test_a_thing_gets_no_longer_than_it_is_thick_and_stays_where_it_is(solid):
    turned = solid.moved(TURN, np.array([0.1, 0.2, 0.3]))
    (thick,) = mappable(scene_of(turned), VOXEL_M).scene.solids
    assert np.array_equal(thick.centre, turned.centre)
    assert np.array_equal(thick.rotation, turned.rotation)
    assert (thick.half >= turned.half).all()
    assert (thick.half - turned.half).max() < 0.7 * VOXEL_M
    assert thick.half[2] == turned.half[2]


def test_what_is_thick_or_lies_against_something_keeps_its_faces():
    wall = box((0, 0, 0), (0.2, 4, 4))
    poster = box((0.102, 0, 0), (0.004, 0.5, 0.5))
    pipe = rod((0.106, -1, 1), (0.106, 1, 1), 0.006)
    seen = mappable(scene_of(wall, poster, pipe), VOXEL_M)
    assert seen.scene.solids == (wall, poster, pipe)
    assert not seen.rods
    assert not seen.plates


def test_the_same_thing_is_thin_for_large_voxels_only():
    board = box((0, 0, 0), (0.03, 0.6, 0.6))
    assert np.array_equal(mappable(scene_of(board), 0.02).scene.solids[0].half, board.half)
    assert mappable(scene_of(board), 0.04).scene.solids[0].half[0] == pytest.approx(0.018)


def test_points_are_around_rods_and_around_plates():
    seen = mappable(scene_of(THIN_ROD, THIN_PLATE), VOXEL_M)
    near_rod, near_plate = seen.points_near_thin_things(2000, torch.Generator().manual_seed(1))
    for points, solid in ((near_rod, THIN_ROD), (near_plate, THIN_PLATE)):
        distance = scene_of(solid).signed_distance(points)
        assert points.shape == (2000, 3)
        assert float(distance.max()) < 4 * VOXEL_M
        assert float((mappable(scene_of(solid), VOXEL_M).scene.signed_distance(points) < 0).float().mean()) > 0.01


def test_a_scene_without_thin_things_has_no_points_near_them():
    seen = mappable(scene_of(box((0, 0, 0), (1, 1, 1))), VOXEL_M)
    assert seen.points_near_thin_things(10, torch.Generator()) == []
