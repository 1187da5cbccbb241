# SPDX-License-Identifier: Apache-2.0
"""Plots of scores: the learned map against the best plain TSDF, with every other variant in grey behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.score_columns import map_column
from neuralfusion_ros.evaluation.sweep import Results, best_plain, learned_values, steps, variant_values
from neuralfusion_ros.evaluation.tables import Column

LEARNED_COLOUR, TSDF_COLOUR, FILTERED_COLOUR, OTHER_COLOUR = "#c2410c", "#1d4ed8", "#15803d", "#c9c9c9"
_PANEL_TITLES = ("MAD mm", "IoU", "F 1 cm", "accuracy mm", "completeness mm", "false solid")
PANELS = tuple(map_column(title) for title in _PANEL_TITLES)
AXIS_NAMES = {
    "MAD mm": "mean absolute distance error [mm]",
    "IoU": "IoU of solid voxels [0..1]",
    "F 1 cm": "F-score at 1 cm [0..1]",
    "accuracy mm": "mesh accuracy error [mm]",
    "completeness mm": "mesh completeness error [mm]",
    "false solid": "false solid share of free space [0..1]",
}


def sweep_figure(results: Results, axis: str, title: str, panels: Sequence[Column[MapScores]] = PANELS) -> Figure:
    """Scores over the steps. Lines are means over rooms and seeds, bands reach from the least to the largest."""
    figure, axes = six_panels(title)
    for panel, column in zip(axes, panels, strict=False):
        sweep_panel(panel, results, column)
        panel.set_xlabel(axis)
        panel.set_ylabel(axis_label(column))
    for unused in axes[len(panels) :]:
        unused.set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def six_panels(title: str) -> tuple[Figure, list[Axes]]:
    """An empty figure of two rows of three."""
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    figure.suptitle(title)
    return figure, list(figure.subplots(2, 3).reshape(-1))


def axis_label(column: Column[MapScores]) -> str:
    """What the score is, its unit, and which way is up."""
    name = AXIS_NAMES.get(column.title, column.title)
    return f"{name}\n({'lower' if column.best is min else 'higher'} is better)"


def sweep_panel(panel: Axes, results: Results, column: Column[MapScores]) -> None:
    """One score over the steps."""
    labels = steps(results)
    at = np.arange(len(labels))
    for number, name in enumerate(_variants(results)):
        means = [_mean(variant_values(results, step, column).get(name, [])) for step in labels]
        label = "all TSDF variants" if number == 0 else None
        panel.plot(at, means, color=OTHER_COLOUR, linewidth=0.8, marker=".", markersize=3, zorder=1, label=label)
    best = [[column.value(score) for score in best_plain(results, step, column)] for step in labels]
    filtered = [[column.value(s) for s in best_plain(results, step, column, filtered_only=True)] for step in labels]
    _band(panel, filtered, FILTERED_COLOUR, "^:", "best TSDF + 3-D filter")
    _band(panel, best, TSDF_COLOUR, "s--", "best TSDF of each score")
    _band(panel, [learned_values(results, step, column) for step in labels], LEARNED_COLOUR, "o-", "learned")
    if max(map(len, labels)) < 10:
        panel.set_xticks(at, labels)
    else:
        panel.set_xticks(at, labels, rotation=40, ha="right", fontsize=7)
    panel.set_xlim(-0.3, len(labels) - 0.7)
    panel.grid(alpha=0.3)
    _frame_the_lines(panel, best, [learned_values(results, step, column) for step in labels])


def _band(panel: Axes, values: Sequence[Sequence[float]], colour: str, style: str, label: str) -> None:
    """Means with a band around them; nothing where no step has a value."""
    if not any(values):
        return
    at = np.arange(len(values))
    means = [_mean(some) for some in values]
    low = [min(some, default=np.nan) for some in values]
    high = [max(some, default=np.nan) for some in values]
    panel.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
    panel.plot(at, means, style, color=colour, linewidth=2, zorder=3, label=label)


def _frame_the_lines(panel: Axes, *lines: Sequence[Sequence[float]]) -> None:
    """Limits by the two lines that matter: a bad variant may leave the picture, so that the good ones can be told."""
    every = np.array([value for line in lines for some in line for value in some])
    every = every[np.isfinite(every)]
    if len(every):
        margin = 0.35 * max(float(np.ptp(every)), 0.05 * float(np.abs(every).max()), 1e-4)
        low = float(every.min()) - margin
        panel.set_ylim(max(low, 0.0) if every.min() >= 0 else low, float(every.max()) + margin)


def _variants(results: Results) -> list[str]:
    found = dict.fromkeys(score.name for scores in results.values() for score in scores)
    return [name for name in found if name != LearnedFusion.name]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
