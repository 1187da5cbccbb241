# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

from neuralfusion_ros.evaluation.experiments.holdout import holdout_page
from neuralfusion_ros.evaluation.experiments.rooms import rooms_body
from neuralfusion_ros.evaluation.holdout import HoldoutScores
from neuralfusion_ros.evaluation.metrics import MapScores, MeshScores, VoxelScores
from neuralfusion_ros.evaluation.pages import page_text
from neuralfusion_ros.evaluation.tables import Column, cpu_name, score_table

COLUMNS = (Column[float]("error", lambda x: x, ".1f", min), Column[float]("score", lambda x: -x, ".1f", max))


def scores(name: str, mad_mm: float, iou: float) -> MapScores:
    return MapScores(name, VoxelScores(50, mad_mm, 0.9, iou, 0.85, 0.1), 0.0, MeshScores(5, 6, 0.5, 0.7, 0.9))


def test_best_values_are_bold():
    table = score_table([2.0, 1.0], ["two", "one"], COLUMNS)
    assert table.splitlines() == [
        "| method | error | score |",
        "| --- | ---: | ---: |",
        "| two | 2.0 | -2.0 |",
        "| one | **1.0** | **-1.0** |",
    ]


def test_best_tsdf_is_chosen_for_each_score():
    results = {"room, hard": [scores("learned", 4, 0.9), scores("a", 9, 0.6), scores("b", 8, 0.5)]}
    summary = [line for line in rooms_body(results).splitlines() if line.startswith("| room, hard")]
    assert summary[0].startswith("| room, hard | learned | 4.00 | 0.900 |")
    assert summary[1].startswith("| room, hard | best TSDF | 8.00 (b) | 0.600 (a) |")


def test_holdout_page_lists_every_map_and_its_conditions():
    good = HoldoutScores(0.8, 0.9, 0.05, 0.01, 1000)
    maps = {"learned": good, "open3d": replace(good, within_5cm=0.85)}
    page = page_text(holdout_page("kitchen", maps, {"frames": "1"}), {"voxel size": "0.02 m"})
    assert "| learned | **0.8000** | **0.9000** |" in page
    assert "| open3d | **0.8000** | 0.8500 |" in page
    assert f"- machine: {cpu_name()}" in page
    assert "- voxel size: 0.02 m\n- frames: 1\n" in page
