# SPDX-License-Identifier: Apache-2.0
"""Measuring in a place: clean frames and exact geometry in, noise added, scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.ground_truth import SAMPLES, TRUNCATION_VOXELS, GroundTruth, build_ground_truth
from neuralfusion_ros.evaluation.method import FusionMethod
from neuralfusion_ros.evaluation.metrics import MapScores, score_map
from neuralfusion_ros.evaluation.places import Place
from neuralfusion_ros.evaluation.view import View
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.sensor_noise import SensorNoise


@dataclass(frozen=True)
class Room:
    """A place with its truth. frames: clean, with their numbers in the recording."""

    name: str
    camera: PinholeCamera
    frames: list[tuple[int, Frame]]
    truth: GroundTruth


def judged(
    place: Place,
    voxel_size_m: float,
    max_depth_m: float,
    samples: int = SAMPLES,
    truncation_voxels: int = TRUNCATION_VOXELS,
) -> Room:
    """The place with what its clean frames tell about the truth."""
    truth = build_ground_truth(place.mesh, clean_views(place, max_depth_m), voxel_size_m, samples, truncation_voxels)
    return Room(place.name, place.camera, place.frames, truth)


def clean_views(place: Place | Room, max_depth_m: float) -> list[View]:
    """The exact frames, prepared for look-ups."""
    return [View(frame, place.camera, max_depth_m) for _, frame in place.frames]


def noisy_frames(room: Place | Room, noise: SensorNoise, seed: int) -> list[Frame]:
    """The frames with noise. Each has a generator of its own, so a frame's noise does not depend on the others."""
    return [
        replace(frame, depth_m=noise.apply(frame.depth_m, room.camera, np.random.default_rng([seed, number])))
        for number, frame in room.frames
    ]


def score_methods(
    methods: Iterable[FusionMethod], frames: list[Frame], room: Room, on_frame: Callable[[str], None]
) -> list[MapScores]:
    """Fuses the frames with every method and scores every reading. on_frame: called with the method's name."""
    scored = score_on_the_way(methods, frames, room.camera, {"all": room.truth}, [len(frames)], on_frame)
    return scored["all", len(frames)]


def score_on_the_way(
    methods: Iterable[FusionMethod],
    frames: list[Frame],
    camera: PinholeCamera,
    truths: Mapping[str, GroundTruth],
    counts: Sequence[int],
    on_frame: Callable[[str], None],
) -> dict[tuple[str, int], list[MapScores]]:
    """As score_methods, against several truths and after each of the counts of frames: scores by (truth, count)."""
    scores: dict[tuple[str, int], list[MapScores]] = {(truth, count): [] for truth in truths for count in counts}
    for method in methods:
        for done, frame in enumerate(frames, start=1):
            method.integrate(frame, camera)
            on_frame(method.name)
            if done in counts:
                for fused in method.maps():
                    for name, truth in truths.items():
                        scores[name, done].append(score_map(fused, truth))
    return scores
