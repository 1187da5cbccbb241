# SPDX-License-Identifier: Apache-2.0
"""What all experiments share: the map's settings, the methods, the places and the seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.baselines import tsdf_baselines
from neuralfusion_ros.evaluation.ground_truth import SAMPLES
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.method import FusionMethod, Triangles
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.places import Place, open_place
from neuralfusion_ros.evaluation.rooms import Room, judged, score_methods
from neuralfusion_ros.evaluation.score_store import ScoreStore, measurement_key
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import LatentModel, load_model
from neuralfusion_ros.mapping.settings import MapSettings

METHODS = ("all", "learned", "tsdf")


class Advance(Protocol):
    """Says that `count` more are done. note: a few words about the latest."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


Progress = Callable[[str, int], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class Bench:
    """settings: of every map. methods: one of METHODS. inputs: rooms as for open_place, or a recording.

    frames: that many, spread over each sequence; all if None. image_size: of procedural rooms. samples: points drawn
    on true surfaces. progress: gives a function to call after every frame. store: keeps what TSDF methods score.
    """

    progress: Progress
    settings: MapSettings
    device: torch.device
    model: str = "small"
    methods: str = "all"
    inputs: tuple[str, ...] = ()
    frames: int | None = None
    seeds: tuple[int, ...] = (0,)
    image_size: tuple[int, int] = (640, 480)
    samples: int = SAMPLES
    store: ScoreStore | None = None

    @property
    def with_learned(self) -> bool:
        """Whether the learned map is measured."""
        return self.methods != "tsdf"

    @property
    def with_tsdf(self) -> bool:
        """Whether plain TSDF fusion is measured."""
        return self.methods != "learned"

    def places(self) -> Iterator[Place]:
        """The places asked for, opened one at a time because each takes memory."""
        for source in self.inputs:
            print(f"{source}: reading", file=sys.stderr, flush=True)
            yield open_place(source, self.frames, self.image_size)

    def rooms(self) -> Iterator[Room]:
        """The places with their truth."""
        for place in self.places():
            yield self.judged(place)

    def judged(self, place: Place, settings: MapSettings | None = None) -> Room:
        """The place with its truth at the map's voxel size."""
        settings = settings or self.settings
        print(f"{place.name}: working out the truth", file=sys.stderr, flush=True)
        return judged(place, settings.voxel_size_m, settings.max_depth_m, self.samples)

    def load(self, model: str | None = None) -> LatentModel:
        """The model. Raises ModelError."""
        return load_model(model or self.model, self.device)

    def learned(self, settings: MapSettings | None = None, model: str | None = None) -> LearnedFusion:
        """An empty learned map."""
        return LearnedFusion(Mapper(self.load(model), settings or self.settings, self.device))

    def fusions(self, mesh: Triangles, settings: MapSettings | None = None) -> list[FusionMethod]:
        """Every method that is measured, empty, for the place with this true surface."""
        settings = settings or self.settings
        learned: list[FusionMethod] = [self.learned(settings)] if self.with_learned else []
        plain = tsdf_baselines(mesh, settings.voxel_size_m, settings.max_depth_m) if self.with_tsdf else []
        return learned + plain

    def score(
        self, label: str, room: Room, frames: list[Frame], methods: list[FusionMethod] | None = None
    ) -> list[MapScores]:
        """Scores of all methods, or of these, after the frames."""
        settings = replace(self.settings, voxel_size_m=room.truth.voxel_size_m)
        if methods is None:
            methods = self.fusions(room.truth.mesh, settings)
        scores: list[MapScores] = []
        key = measurement_key(frames, room, settings) if self.store else ""
        with self.progress(label, len(methods) * len(frames)) as advance:

            def measured(method: FusionMethod) -> list[MapScores]:
                return score_methods([method], frames, room, lambda name: advance(note=name))

            for method in methods:
                if self.store is None or isinstance(method, LearnedFusion):
                    scores += measured(method)
                else:
                    scores += self.store.scores(key, method.name, partial(measured, method))
        return scores

    def input_names(self) -> tuple[str, ...]:
        """The inputs without their places on this machine."""
        return tuple(text if ":" in text else Path(text).resolve().name for text in self.inputs)
