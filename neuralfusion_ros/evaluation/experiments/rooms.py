# SPDX-License-Identifier: Apache-2.0
"""Room by room under simulated noise, every variant on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, figure_link, one_of, setting
from neuralfusion_ros.evaluation.experiments.ladders import ladder
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.plots import sweep_figure
from neuralfusion_ros.evaluation.score_columns import (
    BASELINES_TEXT,
    MAP_COLUMNS,
    METRICS_TEXT,
    NOISE_TEXT,
    map_column,
)
from neuralfusion_ros.evaluation.sweep import Case
from neuralfusion_ros.evaluation.tables import markdown_table, score_table
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = "Synthetic rooms with simulated sensor noise against their exact geometry.\n"
_SUMMARY = ("MAD mm", "IoU", "accuracy mm", "F 1 cm", "F 2 cm")


@dataclass(frozen=True)
class RoomComparison:
    """Scores of every room at every level."""

    name: ClassVar[str] = "rooms"
    summary: ClassVar[str] = "synthetic rooms with simulated noise against their exact geometry"
    inputs: ClassVar[Inputs] = Inputs.ROOM_ARGUMENTS

    levels: tuple[str, ...] = setting(("hard",), one_of(LEVELS), f"levels of noise, of {', '.join(LEVELS)}")

    def run(self, bench: Bench) -> Page:
        """Measures every room."""
        results, conditions = ladder(bench, {level: LEVELS[level] for level in self.levels})
        by_room = {Case(case_title(case, bench.seeds), case.room, case.seed): s for case, s in results.items()}
        by_title = {case.step: scores for case, scores in by_room.items()}
        return Page(
            "Rooms",
            f"{_TEXT}\n{NOISE_TEXT}{METRICS_TEXT}{BASELINES_TEXT}",
            f"{figure_link(self.name, '', 'Scores of every room')}\n{rooms_body(by_title)}",
            {title: [asdict(score) for score in scores] for title, scores in by_title.items()},
            conditions,
            {"": sweep_figure(by_room, "room, level of noise", "Learned map and TSDF, room by room")},
        )


def case_title(case: Case, seeds: Sequence[int]) -> str:
    """'room, level', and the seed where there are several."""
    return f"{case.room}, {case.step}" + (f", seed {case.seed}" if len(seeds) > 1 else "")


def rooms_body(results: Mapping[str, Sequence[MapScores]]) -> str:
    """results: scores of all maps by the title of the case."""
    text = f"## Learned map and best TSDF\n\n{_summary(results)}"
    for title, scores in results.items():
        text += f"\n## {title}\n\n{score_table(scores, [s.name for s in scores], MAP_COLUMNS)}"
    return text


def _summary(results: Mapping[str, Sequence[MapScores]]) -> str:
    columns = [map_column(title) for title in _SUMMARY]
    lines = []
    for title, scores in results.items():
        lines += [[title, s.name, *(c.text(s) for c in columns)] for s in scores if s.name == LearnedFusion.name]
        if plain := [s for s in scores if s.name != LearnedFusion.name]:
            best = [column.best_of(plain) for column in columns]
            cells = [f"{c.text(b)} ({b.name})" for c, b in zip(columns, best, strict=True)]
            lines.append([title, "best TSDF", *cells])
    return markdown_table(["room, noise", "method", *(column.title for column in columns)], lines)
