# SPDX-License-Identifier: Apache-2.0
"""The same frames in other orders: a map should not depend on where its robot began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from neuralfusion_ros.evaluation.baselines import open3d_baselines
from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, figure_link, one_of, setting, whole_numbers
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.method import FusionMethod
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.plots import AXIS_NAMES, LEARNED_COLOUR, PANELS, TSDF_COLOUR, six_panels
from neuralfusion_ros.evaluation.rooms import Room, noisy_frames
from neuralfusion_ros.evaluation.score_columns import MAP_COLUMNS, METRICS_TEXT, NOISE_TEXT
from neuralfusion_ros.evaluation.tables import Column, markdown_table
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = """The same noisy frames, noise {level}, fused in {count} random orders. The spread is the largest minus the
least score. TSDF is Open3D's fusion with a truncation of 4 voxels, for comparison; our own TSDF does not depend on the
order by how it is made. Open3D's depends on it only by the moment at which blocks are made. The scores of the mesh
come from points drawn on it, and another order of its triangles draws others: the spread of Open3D's accuracy shows
how much that alone does.
"""
_TRUNCATION_VOXELS = 4
Orders = dict[tuple[str, str, int], list[MapScores]]


@dataclass(frozen=True)
class FrameOrders:
    """Scores over random orders of the frames."""

    name: ClassVar[str] = "orders"
    summary: ClassVar[str] = "the same frames in ten random orders"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    orders: tuple[int, ...] = setting((10,), whole_numbers(2), "number of random orders")
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Measures every order in every room."""
        results: Orders = {}
        conditions: dict[str, object] = {}
        for room in bench.rooms():
            conditions["image size"] = f"{room.camera.width}x{room.camera.height}"
            conditions["frames"] = f"{len(room.frames)} of each room"
            for seed in bench.seeds:
                self._score(bench, room, seed, results)
        text = _TEXT.format(level=self.level[0], count=self.orders[0])
        return Page(
            "Order of the frames",
            f"{text}\n{NOISE_TEXT}{METRICS_TEXT}",
            f"{figure_link(self.name, '', 'Scores of every order')}\n{spread_tables(results)}",
            [
                {"method": method, "room": room, "seed": seed, "orders": [asdict(score) for score in scores]}
                for (method, room, seed), scores in results.items()
            ],
            conditions,
            {"": orders_figure(results)},
        )

    def _score(self, bench: Bench, room: Room, seed: int, results: Orders) -> None:
        """Adds the scores of one room, one per order."""
        frames = noisy_frames(room, LEVELS[self.level[0]], seed)
        rng = np.random.default_rng([seed, 6])
        for number in range(self.orders[0]):
            order = rng.permutation(len(frames))
            again = [frames[k] for k in order]
            for score in bench.score(f"{room.name}, order {number + 1}", room, again, _methods(bench)):
                results.setdefault((score.name, room.name, seed), []).append(score)


def _methods(bench: Bench) -> list[FusionMethod]:
    learned: list[FusionMethod] = [bench.learned()] if bench.with_learned else []
    plain = open3d_baselines(bench.settings.voxel_size_m, bench.settings.max_depth_m, (_TRUNCATION_VOXELS,))
    return learned + (plain if bench.with_tsdf else [])


def spread_tables(results: Orders) -> str:
    """Per room and seed a table of mean and spread of every score."""
    text = ""
    for room, seed in dict.fromkeys((room, seed) for _, room, seed in results):
        rows = [
            [method, *(mean_and_spread(scores, column) for column in MAP_COLUMNS)]
            for (method, place, number), scores in results.items()
            if (place, number) == (room, seed)
        ]
        header = ["mean (spread)", *(column.title for column in MAP_COLUMNS)]
        text += f"## {room}, seed {seed}\n\n{markdown_table(header, rows)}\n"
    return text.rstrip() + "\n"


def mean_and_spread(scores: Sequence[MapScores], column: Column[MapScores]) -> str:
    """'3.70 (0.02)': the mean, and the largest minus the least."""
    values = np.array([column.value(score) for score in scores])
    spread = format(np.ptp(values), column.form) if np.isfinite(values).all() else "-"
    return f"{values.mean():{column.form}} ({spread})"


def orders_figure(results: Orders) -> Figure:
    """Every order as a dot, one column of dots per method and room, as the difference from their mean.

    The methods are so far apart that the scores themselves would hide how much each one varies.
    """
    figure, axes = six_panels("One dot per order of the same frames: difference from the mean over the orders")
    labels = [f"{method}\n{room}" for method, room, _ in results]
    for panel, column in zip(axes, PANELS, strict=True):
        for at, ((method, _, _), scores) in enumerate(results.items()):
            values = np.array([column.value(score) for score in scores])
            if not np.isfinite(values).all():
                continue  # some order left no mesh; the table says so
            colour = LEARNED_COLOUR if method == LearnedFusion.name else TSDF_COLOUR
            panel.plot(at + np.linspace(-0.25, 0.25, len(values)), values - values.mean(), ".", color=colour)
        panel.set_xticks(np.arange(len(labels)), labels, rotation=45, ha="right", fontsize=7)
        panel.set_ylabel(f"difference in\n{AXIS_NAMES[column.title]}")
        panel.set_xlim(-0.5, len(labels) - 0.5)
        panel.axhline(0, color="grey", linewidth=0.8)
        panel.grid(axis="y", alpha=0.3)
    return figure
