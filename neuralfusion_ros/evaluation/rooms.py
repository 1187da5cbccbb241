# SPDX-License-Identifier: Apache-2.0
"""The experiment on synthetic rooms: clean frames and exact geometry in, noise added, scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.evaluation.ground_truth import GroundTruth, build_ground_truth
from neuralfusion_ros.evaluation.method import FusionMethod
from neuralfusion_ros.evaluation.metrics import MapScores, score_map
from neuralfusion_ros.evaluation.view import View
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.sensor_noise import SensorNoise

MESH_NAME = "gt_mesh.ply"


@dataclass(frozen=True)
class Room:
    """A synthetic sequence. frames: clean, with their numbers in the recording."""

    name: str
    camera: PinholeCamera
    frames: list[tuple[int, Frame]]
    truth: GroundTruth


def load_room(folder: Path, voxel_size_m: float, max_depth_m: float, frames_step: int = 1) -> Room:
    """Reads every frames_step-th frame and works out the truth for them. Raises RecordingError."""
    recording = open_recording(folder)
    if not (folder / MESH_NAME).exists():
        raise RecordingError(f"{folder} has no {MESH_NAME}; only synthetic sequences with exact geometry can be used")
    frames = list(enumerate(recording))[::frames_step]
    views = [View(frame, recording.camera, max_depth_m) for _, frame in frames]
    truth = build_ground_truth(folder / MESH_NAME, views, voxel_size_m)
    return Room(folder.resolve().name, recording.camera, frames, truth)


def noisy_frames(room: Room, noise: SensorNoise, seed: int) -> list[Frame]:
    """The frames with noise. Each has a generator of its own, so a frame's noise does not depend on the others."""
    return [
        replace(frame, depth_m=noise.apply(frame.depth_m, room.camera, np.random.default_rng([seed, number])))
        for number, frame in room.frames
    ]


def score_methods(
    methods: Iterable[FusionMethod], frames: list[Frame], room: Room, on_frame: Callable[[str], None]
) -> list[MapScores]:
    """Fuses the frames with every method and scores every reading. on_frame: called with the method's name."""
    scores = []
    for method in methods:
        for frame in frames:
            method.integrate(frame, room.camera)
            on_frame(method.name)
        scores += [score_map(fused, room.truth) for fused in method.maps()]
    return scores
