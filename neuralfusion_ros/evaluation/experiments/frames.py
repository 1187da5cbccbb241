# SPDX-License-Identifier: Apache-2.0
"""How quality grows with the number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import (
    ExperimentError,
    Inputs,
    Page,
    figure_link,
    one_of,
    setting,
    whole_numbers,
)
from neuralfusion_ros.evaluation.ground_truth import GroundTruth, seen_part
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.places import Place
from neuralfusion_ros.evaluation.plots import sweep_figure
from neuralfusion_ros.evaluation.rooms import Room, clean_views, noisy_frames, score_on_the_way
from neuralfusion_ros.evaluation.score_columns import BASELINES_TEXT, METRICS_TEXT, NOISE_TEXT
from neuralfusion_ros.evaluation.sweep import Case, sweep_body, sweep_numbers
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = """Scores after the first 5, 10, 20, ... frames of the same map, at noise {level}. The frames of a sequence
come in one random order, drawn with the seed, so that also few frames come from all over the room.

- everything: judged is what any of the {total} frames could see. A voxel nobody has looked at yet counts as free space.
- seen at once: judged is only what the first {first} frames could see, so what changes is the quality and not the
  cover.
"""
_EVERYTHING, _AT_ONCE = "everything", "seen at once"
AnyPlace = TypeVar("AnyPlace", Room, Place)


@dataclass(frozen=True)
class FrameCounts:
    """Scores over the number of frames."""

    name: ClassVar[str] = "frames"
    summary: ClassVar[str] = "quality after 5, 10, 20, 50 and 100 frames"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    counts: tuple[int, ...] = setting((5, 10, 20, 50, 100), whole_numbers(1), "numbers of frames")
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Measures every room at every count."""
        counts = sorted(set(self.counts))
        results: dict[str, dict[Case, list[MapScores]]] = {_EVERYTHING: {}, _AT_ONCE: {}}
        conditions: dict[str, object] = {}
        for room in bench.rooms():
            if len(room.frames) < counts[-1]:
                raise ExperimentError(f"{room.name} has {len(room.frames)} frames; {counts[-1]} are asked for")
            conditions["image size"] = f"{room.camera.width}x{room.camera.height}"
            for seed in bench.seeds:
                for (mask, count), scores in self._score(bench, shuffled(room, seed), counts, seed).items():
                    results[mask][Case(str(count), room.name, seed)] = scores
        text = _TEXT.format(level=self.level[0], total=counts[-1], first=counts[0])
        page = Page("Number of frames", f"{text}\n{NOISE_TEXT}{METRICS_TEXT}{BASELINES_TEXT}", "", {}, conditions)
        return _filled(page, self.name, results, counts)

    def _score(
        self, bench: Bench, room: Room, counts: Sequence[int], seed: int
    ) -> dict[tuple[str, int], list[MapScores]]:
        """By mask and count."""
        used = replace(room, frames=room.frames[: counts[-1]])
        first = clean_views(replace(room, frames=room.frames[: counts[0]]), bench.settings.max_depth_m)
        everything = seen_part(room.truth, clean_views(used, bench.settings.max_depth_m))
        truths: dict[str, GroundTruth] = {_EVERYTHING: everything, _AT_ONCE: seen_part(room.truth, first)}
        methods = bench.fusions(room.truth.mesh)
        frames = noisy_frames(used, LEVELS[self.level[0]], seed)
        with bench.progress(room.name, len(methods) * len(frames)) as advance:
            return score_on_the_way(methods, frames, room.camera, truths, counts, lambda name: advance(note=name))


def shuffled(room: AnyPlace, seed: int) -> AnyPlace:
    """The room with its frames in an order drawn with the seed. Frames keep their numbers and so their noise."""
    order = np.random.default_rng([seed, 5]).permutation(len(room.frames))
    return replace(room, frames=[room.frames[k] for k in order])


def _filled(page: Page, name: str, results: dict[str, dict[Case, list[MapScores]]], counts: Sequence[int]) -> Page:
    """The page with a part for each mask."""
    body, figures = "", {}
    for mask, found in results.items():
        ordered = dict(sorted(found.items(), key=lambda item: counts.index(int(item[0].step))))
        suffix = "_" + mask.replace(" ", "_")
        figures[suffix] = sweep_figure(ordered, "frames", f"Quality over the number of frames, {mask}")
        tables = sweep_body(ordered, "frames", heading="###")
        body += f"## Judged: {mask}\n\n{figure_link(name, suffix, f'Scores over frames, {mask}')}\n{tables}\n"
    numbers = {mask: sweep_numbers(found) for mask, found in results.items()}
    return replace(page, body=body.rstrip() + "\n", numbers=numbers, figures=figures)
