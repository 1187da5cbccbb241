# SPDX-License-Identifier: Apache-2.0
"""What the ladders of noise have in common: the same rooms and methods under one sensor after another."""

from __future__ import annotations

from collections.abc import Mapping

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Page, figure_link
from neuralfusion_ros.evaluation.plots import sweep_figure
from neuralfusion_ros.evaluation.rooms import noisy_frames
from neuralfusion_ros.evaluation.score_columns import BASELINES_TEXT, METRICS_TEXT, NOISE_TEXT
from neuralfusion_ros.evaluation.sweep import Case, Results, sweep_body, sweep_numbers
from neuralfusion_ros.training.sensor_noise import SensorNoise


def ladder_page(bench: Bench, name: str, title: str, text: str, axis: str, sensors: Mapping[str, SensorNoise]) -> Page:
    """Measures every room under every sensor with every seed. axis: what the names of the sensors are."""
    results, conditions = ladder(bench, sensors)
    figure = sweep_figure(results, axis, f"{title}: mean over rooms and seeds, band from least to largest")
    return Page(
        title,
        f"{text}\n{NOISE_TEXT}{METRICS_TEXT}{BASELINES_TEXT}",
        f"{figure_link(name, '', title)}\n{sweep_body(results, axis)}",
        sweep_numbers(results),
        conditions,
        {"": figure},
    )


def ladder(bench: Bench, sensors: Mapping[str, SensorNoise]) -> tuple[Results, dict[str, object]]:
    """The scores, ordered by sensor, and what the rooms were."""
    results = {}
    conditions: dict[str, object] = {}
    for room in bench.rooms():
        conditions["image size"] = f"{room.camera.width}x{room.camera.height}"
        conditions["frames"] = f"{len(room.frames)} of each room"
        for step, sensor in sensors.items():
            for seed in bench.seeds:
                frames = noisy_frames(room, sensor, seed)
                results[Case(step, room.name, seed)] = bench.score(f"{room.name}, {step}", room, frames)
    order = list(sensors)
    return dict(sorted(results.items(), key=lambda item: order.index(item[0].step))), conditions
