# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from neuralfusion_ros.evaluation.experiments.models import model_groups, models_table
from neuralfusion_ros.evaluation.experiments.orders import mean_and_spread
from neuralfusion_ros.evaluation.metrics import MapScores, MeshScores, VoxelScores
from neuralfusion_ros.evaluation.plots import sweep_figure
from neuralfusion_ros.evaluation.score_columns import map_column
from neuralfusion_ros.evaluation.sweep import Case, losses_text, summary_table, sweep_body, variants_table


def scores(name: str, mad_mm: float, iou: float, accuracy_mm: float = 5.0) -> MapScores:
    return MapScores(name, VoxelScores(50, mad_mm, 0.9, iou, 0.85, 0.1), 0.0, MeshScores(accuracy_mm, 6, 0.5, 0.7, 0.9))


RESULTS = {
    Case("mild", "r", 0): [scores("learned", 2, 0.9), scores("a", 4, 0.92), scores("b", 5, 0.7)],
    Case("mild", "s", 0): [scores("learned", 4, 0.9), scores("a", 9, 0.5), scores("b", 7, 0.8)],
    Case("hard", "r", 0): [scores("learned", 5, 0.8), scores("a", 4, 0.6), scores("b", 6, 0.5)],
}


def test_means_over_rooms_and_the_best_of_each_room():
    rows = summary_table(RESULTS, "noise").splitlines()[2:]
    assert rows[0].startswith("| mild | learned | 3.00 | 0.900 |")
    assert rows[1].startswith("| mild | best TSDF | 5.50 (a) | 0.860 (a) |")  # 4 and 7, 0.92 and 0.8
    assert rows[2].startswith("| hard | learned | 5.00 |")


def test_the_best_with_a_filter_has_a_row_of_its_own():
    case = Case("mild", "r", 0)
    results = {case: [*RESULTS[case], scores("a + median", 4.5, 0.93), scores("a + gauss", 4.8, 0.6)]}
    rows = summary_table(results, "noise").splitlines()[2:]
    assert rows[1].startswith("| mild | best TSDF | 4.00 (a) | 0.930 (a + median) |")
    assert rows[2].startswith("| mild | best TSDF + 3-D filter | 4.50 (a + median) | 0.930 (a + median) |")


def test_losses_are_named():
    text = losses_text(RESULTS)
    assert "- mild: nowhere\n" in text
    assert "- hard: MAD mm\n" in text
    only_learned = {case: found[:1] for case, found in RESULTS.items()}
    assert losses_text(only_learned) == ""
    assert "best TSDF |" not in summary_table(only_learned, "noise")


def test_every_variant_has_its_mean_and_the_best_is_bold():
    rows = variants_table(RESULTS, "mild").splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["learned", "a", "b"]
    assert rows[0].startswith("| learned | **3.00** |")
    assert rows[1].startswith("| a | 6.50 |")


def test_a_map_without_mesh_is_drawn_and_told():
    results = {**RESULTS, Case("worse", "r", 0): [scores("learned", 9, 0.1, float("inf")), scores("a", 9, 0.1)]}
    assert "| inf |" in sweep_body(results, "noise")
    figure = sweep_figure(results, "noise", "title")
    assert all(panel.get_xlabel() == "noise" for panel in figure.axes)
    assert "[mm]" in figure.axes[0].get_ylabel()


def test_spread_of_orders_is_largest_minus_least():
    column = map_column("MAD mm")
    assert mean_and_spread([scores("x", 2, 0), scores("x", 5, 0)], column) == "3.50 (3.00)"


def test_groups_of_models():
    groups = model_groups(["full=a/x.safetensors,b/x.safetensors", "no_map.safetensors"])
    assert groups == {"full": ("a/x.safetensors", "b/x.safetensors"), "no_map": ("no_map.safetensors",)}


def test_models_are_averaged_over_rooms_and_spread_over_runs():
    def run(*mads: float) -> list[list[MapScores]]:
        return [[scores("learned", mad, 0.5)] for mad in mads]

    tsdf = [[scores("a", 9, 0.4), scores("b", 7, 0.6)], [scores("a", 5, 0.4), scores("b", 8, 0.6)]]
    runs = {"x": {("x", 0): run(2, 4), ("x", 1): run(5, 5)}, "y": {("y", 0): run(3, 4)}, "best TSDF": {("", 0): tsdf}}
    rows = models_table(runs).splitlines()[2:]
    assert rows[0].startswith("| x | 2 | 4.00 ± 1.41 |")
    assert rows[1].startswith("| y | 1 | **3.50** |")
    assert rows[2].startswith("| best TSDF | 1 | 6.00 |")
