# SPDX-License-Identifier: Apache-2.0
"""Camera paths stay in free space, move smoothly and see something."""

import numpy as np
import pytest

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.camera_paths import CLEARANCE_M, HEIGHTS_M, clearance_m, hand_path
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import Scene, random_room
from neuralfusion_ros.training.solids import box

CAMERA = PinholeCamera(80, 60, 70.0, 70.0, 39.5, 29.5)


def in_room(scene: Scene, path: np.ndarray) -> np.ndarray:
    return (path[:, :3, 3] - scene.T_world_room[:3, 3]) @ scene.T_world_room[:3, :3]


def turns_deg(path: np.ndarray) -> np.ndarray:
    relative = np.einsum("nji,njk->nik", path[:-1, :3, :3], path[1:, :3, :3])
    return np.degrees(np.arccos(np.clip((np.trace(relative, axis1=1, axis2=2) - 1) / 2, -1, 1)))


@pytest.mark.parametrize("seed", range(12))
def test_path_is_free_smooth_and_at_hand_height(seed):
    scene = random_room(seed, ("room", "small", "hall")[seed % 3])
    path = hand_path(scene, np.random.default_rng(seed), 48)
    assert path.shape == (48, 4, 4)
    assert path.dtype == np.float64
    position = in_room(scene, path)
    assert clearance_m(scene, position).min() >= CLEARANCE_M
    assert np.all(np.abs(position[:, :2]) < scene.room_size_m[:2] / 2)
    assert position[:, 2].min() >= HEIGHTS_M[0]
    assert position[:, 2].max() <= HEIGHTS_M[1]
    steps = np.linalg.norm(np.diff(position, axis=0), axis=1)
    assert steps.max() <= 0.10 + 1e-6
    assert steps.min() > 0
    assert turns_deg(path).max() < 10
    assert turns_deg(path).sum() > 40
    gram = path[:, :3, :3] @ path[:, :3, :3].transpose(0, 2, 1)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-9)
    assert np.linalg.det(path[:, :3, :3]).min() > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_camera_is_upright_and_sees_the_room(seed):
    scene = random_room(seed)
    path = hand_path(scene, np.random.default_rng(seed), 30)
    assert np.all(path[:, 2, 1] < -0.5)
    renderer = DepthRenderer(*scene.mesh())
    for pose in path[::10]:
        depth = renderer.render(CAMERA, pose)
        assert np.mean(depth > 0) > 0.999
        # Obliquely beside the image centre, depth along z may be less than the distance.
        assert depth.min() > 0.5 * CLEARANCE_M


def test_generator_decides_the_path():
    scene = random_room(2)
    first, again, other = (hand_path(scene, np.random.default_rng(seed), 20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_styles_differ_in_how_far_they_go():
    scene = random_room(4, "hall")
    reached = [np.ptp(hand_path(scene, np.random.default_rng(seed), 64)[:, :3, 3], axis=0).max() for seed in range(12)]
    assert min(reached) < 0.8
    assert max(reached) > 1.5


def test_full_room_is_refused():
    room = np.array([3.0, 3.0, 2.4])
    scene = Scene((box((0, 0, 1.2), (3.0, 3.0, 2.4)),), np.eye(4), room)
    with pytest.raises(ValueError, match="no free place"):
        hand_path(scene, np.random.default_rng(0), 10)
