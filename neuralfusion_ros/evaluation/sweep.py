# SPDX-License-Identifier: Apache-2.0
"""Scores along a ladder of steps, in several rooms and with several seeds: who is better where, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.projective_tsdf import FILTER_MARK
from neuralfusion_ros.evaluation.score_columns import MAP_COLUMNS, map_column
from neuralfusion_ros.evaluation.tables import Column, markdown_table

_SUMMARY_TITLES = ("MAD mm", "IoU", "accuracy mm", "completeness mm", "F 1 cm", "F 2 cm", "false solid")
SUMMARY_COLUMNS = tuple(map_column(title) for title in _SUMMARY_TITLES)
Columns = Sequence[Column[MapScores]]


class Case(NamedTuple):
    """Where one measurement was made."""

    step: str
    room: str
    seed: int


Results = Mapping[Case, Sequence[MapScores]]


def steps(results: Results) -> list[str]:
    """The steps in the order in which they were measured."""
    return list(dict.fromkeys(case.step for case in results))


def learned_values(results: Results, step: str, column: Column[MapScores]) -> list[float]:
    """The learned map's score in every room with every seed."""
    return variant_values(results, step, column).get(LearnedFusion.name, [])


def variant_values(results: Results, step: str, column: Column[MapScores]) -> dict[str, list[float]]:
    """Scores of every variant in every room with every seed."""
    values: dict[str, list[float]] = {}
    for case, scores in results.items():
        if case.step == step:
            for score in scores:
                values.setdefault(score.name, []).append(column.value(score))
    return values


def best_plain(results: Results, step: str, column: Column[MapScores], filtered_only: bool = False) -> list[MapScores]:
    """The best TSDF variant in every room with every seed, chosen for this score; among all or those with a filter."""
    measured = [scores for case, scores in results.items() if case.step == step]
    plain = [[score for score in scores if _may_be_chosen(score.name, filtered_only)] for scores in measured]
    return [column.best_of(scores) for scores in plain if scores]


def _may_be_chosen(name: str, filtered_only: bool) -> bool:
    return name != LearnedFusion.name and (FILTER_MARK in name or not filtered_only)


def sweep_body(
    results: Results, axis: str, summary: Columns = SUMMARY_COLUMNS, columns: Columns = MAP_COLUMNS, heading: str = "##"
) -> str:
    """Summary and full tables as Markdown. axis: what the steps are. heading: the marks of a part's title."""
    text = f"{heading} Learned map and best TSDF\n\n{summary_table(results, axis, summary)}\n"
    text += losses_text(results, columns)
    for step in steps(results):
        text += f"\n{heading} All variants, {axis} {step}\n\n{variants_table(results, step, columns)}"
    return text


def summary_table(results: Results, axis: str, columns: Columns = SUMMARY_COLUMNS) -> str:
    """Means over rooms and seeds of the learned map, of the best TSDF, and of the best that has a 3-D filter."""
    rows = []
    for step in steps(results):
        learned = [learned_values(results, step, column) for column in columns]
        if learned[0]:
            cells = [_mean_text(values, column) for values, column in zip(learned, columns, strict=True)]
            rows.append([step, LearnedFusion.name, *cells])
        for title, filtered_only in (("best TSDF", False), ("best TSDF + 3-D filter", True)):
            best = [best_plain(results, step, column, filtered_only) for column in columns]
            if best[0]:
                rows.append([step, title, *(_best_text(f, c) for f, c in zip(best, columns, strict=True))])
    return markdown_table([axis, "method", *(column.title for column in columns)], rows)


def losses_text(results: Results, columns: Columns = MAP_COLUMNS) -> str:
    """Where the best TSDF is better, said in words; empty unless both were measured."""
    lines = []
    for step in steps(results):
        worse = [column.title for column in columns if _is_worse(results, step, column)]
        if learned_values(results, step, columns[0]) and best_plain(results, step, columns[0]):
            lines.append(f"- {step}: {', '.join(worse) if worse else 'nowhere'}\n")
    return "Where the best TSDF is better, in the mean over rooms and seeds:\n\n" + "".join(lines) if lines else ""


def variants_table(results: Results, step: str, columns: Columns = MAP_COLUMNS) -> str:
    """Every score of every variant, means over rooms and seeds, the best of each in bold."""
    per_column = [variant_values(results, step, column) for column in columns]
    means = [{name: float(np.mean(v)) for name, v in values.items()} for values in per_column]
    best = [column.best(list(values.values())) for column, values in zip(columns, means, strict=True)]
    rows = []
    for name in per_column[0]:
        cells = [
            f"**{values[name]:{column.form}}**" if values[name] == top else f"{values[name]:{column.form}}"
            for column, values, top in zip(columns, means, best, strict=True)
        ]
        rows.append([name, *cells])
    return markdown_table(["method", *(column.title for column in columns)], rows)


def sweep_numbers(results: Results) -> list[dict[str, Any]]:
    """All scores, for JSON."""
    return [{**case._asdict(), "scores": [asdict(score) for score in scores]} for case, scores in results.items()]


def _best_text(found: Sequence[MapScores], column: Column[MapScores]) -> str:
    """The mean, and the variant that was best most often."""
    often = Counter(score.name for score in found).most_common(1)[0][0]
    return f"{_mean_text([column.value(score) for score in found], column)} ({often})"


def _mean_text(values: Sequence[float], column: Column[MapScores]) -> str:
    return format(float(np.mean(values)), column.form)


def _is_worse(results: Results, step: str, column: Column[MapScores]) -> bool:
    learned = learned_values(results, step, column)
    best = [column.value(score) for score in best_plain(results, step, column)]
    if not learned or not best:
        return False
    ours, theirs = float(np.mean(learned)), float(np.mean(best))
    return ours != theirs and column.best([ours, theirs]) == theirs
