# SPDX-License-Identifier: Apache-2.0
"""Several trained models against each other: what a part of the method is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.baselines import tsdf_baselines
from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import ExperimentError, Inputs, Page, figure_link, one_of, setting
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.plots import LEARNED_COLOUR, PANELS, TSDF_COLOUR, axis_label, six_panels
from neuralfusion_ros.evaluation.rooms import Room, noisy_frames
from neuralfusion_ros.evaluation.score_columns import (
    BASELINES_TEXT,
    MAP_COLUMNS,
    METRICS_TEXT,
    NOISE_TEXT,
)
from neuralfusion_ros.evaluation.tables import Column, markdown_table
from neuralfusion_ros.training.sensor_families import LEVELS

RUNS_TEXT = """A run is one weights file with one seed of the noise; its
score is the mean over the rooms. Given are the mean over the runs and, after it, their standard deviation; with a
single run there is none. Differences of the size of the spread say nothing.
"""
_TEXT = "Models on the same noisy frames, noise {level}. "
_TSDF = "best TSDF"
Groups = Mapping[str, tuple[str, ...]]
Runs = dict[str, dict[tuple[str, int], list[list[MapScores]]]]
"""By group, then by file and seed: for each room the scores to choose from, one of a model, all variants of TSDF."""


def model_groups(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """'a.safetensors' and 'name=b.safetensors,c.safetensors' to files by the name of their group.

    Several files of a group are the same variant trained with several seeds.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, separator, files = word.partition("=")
        found = tuple(file for file in (files if separator else word).split(",") if file)
        name = name if separator else Path(word).stem
        if not name or not found:
            raise ExperimentError(f"--models: expected FILE or NAME=FILE,FILE, got {word!r}")
        if name in groups:
            raise ExperimentError(f"--models: two models are called {name!r}; name them with NAME=FILE")
        groups[name] = found
    return groups


def _parse_models(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True)
class ModelComparison:
    """Scores of model files."""

    name: ClassVar[str] = "models"
    summary: ClassVar[str] = "several model files against each other"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    models: tuple[str, ...] = setting((), _parse_models, "FILE or NAME=FILE,FILE (training seeds), one or more words")
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Measures every model in every room."""
        runs, conditions = score_models(bench, model_groups(self.models or (bench.model,)), self.level[0])
        return models_page(self.name, "Models", f"{_TEXT.format(level=self.level[0])}{RUNS_TEXT}\n", runs, conditions)


def score_models(bench: Bench, groups: Groups, level: str) -> tuple[Runs, dict[str, object]]:
    """The scores of every model in every room, and what was measured on."""
    loaded = {file: bench.load(file) for files in groups.values() for file in files}  # a bad file is found now
    runs: Runs = {}
    conditions: dict[str, object] = {
        f"model {name}": ", ".join(f"{Path(f).stem}, sha256 {loaded[f].sha256[:12]}" for f in files)
        for name, files in groups.items()
    }
    for room in bench.rooms():
        conditions["image size"] = f"{room.camera.width}x{room.camera.height}"
        conditions["frames"] = f"{len(room.frames)} of each room"
        for seed in bench.seeds:
            _score(bench, groups, room, noisy_frames(room, LEVELS[level], seed), seed, runs)
    return runs, conditions


def models_page(name: str, title: str, text: str, runs: Runs, conditions: Mapping[str, object]) -> Page:
    """A page that compares the runs. text: what they are."""
    return Page(
        title,
        f"{text}{NOISE_TEXT}{METRICS_TEXT}{BASELINES_TEXT}",
        f"{figure_link(name, '', 'Scores of the models')}\n{models_table(runs)}",
        _numbers(runs),
        conditions,
        {"": models_figure(runs)},
    )


def _score(bench: Bench, groups: Groups, room: Room, frames: list[Frame], seed: int, runs: Runs) -> None:
    """Adds the scores of one room with one seed."""
    for name, files in groups.items():
        for file in files:
            scores = bench.score(f"{room.name}, {name}", room, frames, [bench.learned(model=file)])
            runs.setdefault(name, {}).setdefault((file, seed), []).append(scores)
    if bench.with_tsdf:
        settings = bench.settings
        plain = tsdf_baselines(room.truth.mesh, settings.voxel_size_m, settings.max_depth_m)
        scores = bench.score(f"{room.name}, TSDF", room, frames, plain)
        runs.setdefault(_TSDF, {}).setdefault(("", seed), []).append(scores)


def run_values(runs: Runs, group: str, column: Column[MapScores]) -> list[float]:
    """One score per run: the mean over rooms of the best of what there is to choose from."""
    return [
        float(np.mean([column.value(column.best_of(choices)) for choices in rooms])) for rooms in runs[group].values()
    ]


def models_table(runs: Runs) -> str:
    """Mean and standard deviation of every score; the best mean of the models in bold."""
    cells: dict[str, list[str]] = {group: [] for group in runs}
    for column in MAP_COLUMNS:
        means = {group: float(np.mean(run_values(runs, group, column))) for group in runs}
        best = column.best([mean for group, mean in means.items() if group != _TSDF])
        for group in runs:
            text = f"{means[group]:{column.form}}"
            text = f"**{text}**" if means[group] == best and group != _TSDF else text
            cells[group].append(text + _spread_text(run_values(runs, group, column), column))
    rows = [[group, str(len(runs[group])), *cells[group]] for group in runs]
    return markdown_table(["model", "runs", *(column.title for column in MAP_COLUMNS)], rows)


def _spread_text(values: Sequence[float], column: Column[MapScores]) -> str:
    return f" ± {np.std(values, ddof=1):{column.form}}" if len(values) > 1 else ""


def models_figure(runs: Runs) -> Figure:
    """Every run as a dot, the mean as a bar."""
    figure, axes = six_panels("Models on the same frames: one dot per run, lines are means")
    for panel, column in zip(axes, PANELS, strict=True):
        for at, group in enumerate(runs):
            values = run_values(runs, group, column)
            colour = TSDF_COLOUR if group == _TSDF else LEARNED_COLOUR
            panel.plot(at + np.linspace(-0.12, 0.12, len(values)), values, "o", color=colour, markersize=5, alpha=0.7)
            panel.hlines(np.mean(values), at - 0.3, at + 0.3, color=colour, linewidth=2)
        panel.set_xticks(np.arange(len(runs)), list(runs), rotation=30, ha="right")
        panel.set_xlim(-0.6, len(runs) - 0.4)
        panel.set_ylabel(axis_label(column))
        panel.grid(axis="y", alpha=0.3)
    return figure


def _numbers(runs: Runs) -> list[dict[str, object]]:
    return [
        {
            "model": group,
            "file": Path(file).name,
            "seed": seed,
            "rooms": [[asdict(score) for score in scores] for scores in rooms],
        }
        for group, found in runs.items()
        for (file, seed), rooms in found.items()
    ]
