# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.evaluation.ground_truth import GroundTruth
from neuralfusion_ros.evaluation.method import empty_mesh
from neuralfusion_ros.evaluation.rooms import Room, noisy_frames
from neuralfusion_ros.training.sensor_families import LEVELS


@pytest.fixture
def room(studio) -> Room:
    """Four frames without a truth."""
    frame = studio.frame(studio.plane((0, 0, 1), 1.0), studio.pose((0, 0, 0)))
    nothing = np.zeros((0, 3), np.float32)
    truth = GroundTruth(0.04, 0.08, nothing, np.zeros(0, np.float32), nothing, nothing, empty_mesh())
    return Room("wall", studio.camera, [(k, frame) for k in range(4)], truth)


def test_noise_depends_on_the_seed_and_the_number_of_the_frame_only(room):
    every = noisy_frames(room, LEVELS["hard"], seed=1)
    sparse = noisy_frames(Room(room.name, room.camera, room.frames[::3], room.truth), LEVELS["hard"], seed=1)
    np.testing.assert_array_equal(sparse[1].depth_m, every[3].depth_m)
    assert (every[0].depth_m != every[1].depth_m).mean() > 0.5
    assert (noisy_frames(room, LEVELS["hard"], seed=2)[0].depth_m != every[0].depth_m).mean() > 0.5


def test_clean_frames_stay_clean(room):
    for noisy, (_, frame) in zip(noisy_frames(room, LEVELS["clean"], seed=1), room.frames, strict=True):
        np.testing.assert_array_equal(noisy.depth_m, frame.depth_m)
