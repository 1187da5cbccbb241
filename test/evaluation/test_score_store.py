# SPDX-License-Identifier: Apache-2.0
"""Kept scores are found again by all that went into them, and only then."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.metrics import MapScores, MeshScores, VoxelScores
from neuralfusion_ros.evaluation.places import open_place
from neuralfusion_ros.evaluation.rooms import Room, judged, noisy_frames
from neuralfusion_ros.evaluation.score_store import ScoreStore, measurement_key
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.training.sensor_families import LEVELS

SETTINGS = MapSettings(voxel_size_m=0.08)
WORST = MapScores("a", VoxelScores(1.5, 2.0, 0.5, 0.4, 0.3, 0.2), 0.1, MeshScores(np.inf, np.inf, 0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def room() -> Room:
    return judged(open_place("procedural:0:small", 4, (64, 48)), SETTINGS.voxel_size_m, SETTINGS.max_depth_m, 500)


def test_scores_are_measured_once(tmp_path):
    store, measured = ScoreStore(tmp_path / "new" / "folder"), []

    def measure() -> list[MapScores]:
        measured.append(1)
        return [WORST, replace(WORST, name="b")]

    for _ in range(3):
        assert store.scores("key", "a", measure) == [WORST, replace(WORST, name="b")]
    assert len(measured) == 1
    store.scores("other", "a", measure)
    store.scores("key", "a >1", measure)
    assert len(measured) == 3


@pytest.mark.parametrize("content", ["", "{", "[{}]", "7", '[{"name": "a"}]'])
def test_a_damaged_file_is_measured_anew(tmp_path, content):
    (tmp_path / "key_a.json").write_text(content)
    assert ScoreStore(tmp_path).scores("key", "a", lambda: [WORST]) == [WORST]
    assert ScoreStore(tmp_path).scores("key", "a", list) == [WORST]


def test_the_key_follows_everything_that_matters(room):
    frames = noisy_frames(room, LEVELS["mild"], 0)
    first = measurement_key(frames, room, SETTINGS)
    assert measurement_key(noisy_frames(room, LEVELS["mild"], 0), room, SETTINGS) == first
    pose = frames[0].T_world_camera.copy()
    pose[0, 3] += 1e-9
    others = [
        (frames[1:], room, SETTINGS),
        (noisy_frames(room, LEVELS["mild"], 1), room, SETTINGS),
        ([replace(frames[0], T_world_camera=pose), *frames[1:]], room, SETTINGS),
        (frames, replace(room, truth=replace(room.truth, surface=room.truth.surface[1:])), SETTINGS),
        (frames, room, replace(SETTINGS, max_depth_m=4.0)),
    ]
    assert len({first, *(measurement_key(*other) for other in others)}) == 1 + len(others)


def test_a_second_run_gives_the_same_scores_without_fusing(room, tmp_path):
    bench = Bench(progress, SETTINGS, device=torch.device("cpu"), methods="tsdf", store=ScoreStore(tmp_path))
    frames = noisy_frames(room, LEVELS["mild"], 0)
    first = bench.score("room", room, frames)
    without = replace(bench, store=None).score("room", room, frames)  # Open3D's last digits differ from run to run
    assert [score.name for score in first] == [score.name for score in without]
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 4  # Open3D with three truncations, and our own
    times = [path.stat().st_mtime_ns for path in kept]
    assert bench.score("room", room, frames) == first
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == times
