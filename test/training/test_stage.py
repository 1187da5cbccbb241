# SPDX-License-Identifier: Apache-2.0
"""Things in the middle of an empty room, and a camera that goes around them."""

import numpy as np
import pytest
import torch

from neuralfusion_ros.training.scenes import Scene
from neuralfusion_ros.training.stage import HEIGHT_M, REACH_M, _slotted, path_around, random_stage

SHELL_SOLIDS = 6


def things(scene: Scene) -> list:
    return list(scene.solids[SHELL_SOLIDS:])


def in_room(scene: Scene, points: np.ndarray) -> np.ndarray:
    return (points - scene.T_world_room[:3, 3]) @ scene.T_world_room[:3, :3]


@pytest.mark.parametrize("seed", range(12))
def test_all_things_are_near_the_middle(seed):
    scene = random_stage(seed)
    assert things(scene)
    centres = in_room(scene, np.stack([thing.centre for thing in things(scene)])) - [0, 0, HEIGHT_M]
    assert np.linalg.norm(centres, axis=1).max() <= REACH_M


@pytest.mark.parametrize("seed", range(12))
def test_the_camera_goes_around_the_middle_and_looks_at_it_and_touches_nothing(seed):
    scene = random_stage(seed)
    path = path_around(scene, np.random.default_rng(seed), 48)
    assert path.shape == (48, 4, 4)
    position = in_room(scene, path[:, :3, 3]) - [0, 0, HEIGHT_M]
    bearing = np.unwrap(np.arctan2(position[:, 1], position[:, 0]))
    assert abs(bearing[-1] - bearing[0]) >= np.pi - 1e-6
    forward = path[:, :3, 2] @ scene.T_world_room[:3, :3]
    towards = -position / np.linalg.norm(position, axis=1, keepdims=True)
    assert np.einsum("fc,fc->f", forward, towards).min() > 0.8
    np.testing.assert_allclose(
        path[:, :3, :3] @ path[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (48, 1, 1)), atol=1e-9
    )
    assert float(scene.signed_distance(torch.from_numpy(path[:, :3, 3])).min()) > 0.1


def test_a_seed_gives_one_stage_and_seeds_differ():
    first, again, other = random_stage(4), random_stage(4), random_stage(5)
    assert np.array_equal(first.mesh()[0], again.mesh()[0])
    assert not np.array_equal(first.mesh()[0][:200], other.mesh()[0][:200])


def test_many_things_are_slender():
    thinnest = [2 * float(thing.half.min()) for seed in range(40) for thing in things(random_stage(seed))]
    assert np.mean(np.array(thinnest) < 0.02) > 0.25
    assert np.mean(np.array(thinnest) > 0.04) > 0.1


def test_some_things_are_slotted_boards():
    gaps: list[float] = []
    for seed in range(20):
        slats = _slotted(np.random.default_rng(seed))[2:]
        turn, height = slats[0].rotation, 2 * float(slats[0].half[2])
        along = np.sort([float((slat.centre - slats[0].centre) @ turn[:, 2]) for slat in slats])
        assert all(np.allclose(slat.rotation, turn) and slat.half[1] <= 0.015 for slat in slats)
        gaps.extend(np.diff(along) - height)
    assert min(gaps) > 0.005 and max(gaps) < 0.4 and np.median(gaps) < 0.1
