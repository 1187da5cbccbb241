# SPDX-License-Identifier: Apache-2.0
"""Depth cameras by the way they work, the levels of noise of the evaluation, and the sensors that training draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuralfusion_ros.training.sensor_noise import SensorNoise

FAMILIES: dict[str, SensorNoise] = {
    "structured_light": SensorNoise(
        "structured_light", 1.0, (1.2e-3, 0.0, 1.9e-3), 0.4, correlated_share=0.4, correlation_px=8, lateral_px=0.35,
        inverse_depth_step=1 / 348, flying_share=0.3, baseline_m=0.075, outlier_px=3, hole_share=0.02, hole_px=10,
        grazing_cosine=0.15,
    ),
    "active_stereo": SensorNoise(
        "active_stereo", 1.0, (0.5e-3, 0.0, 1.6e-3), 0.0, correlated_share=0.75, correlation_px=15, lateral_px=0.2,
        flying_share=0.15, fattening_px=4, baseline_m=0.05, wave_bias=0.003, outlier_px=5, hole_share=0.04, hole_px=16,
        grazing_cosine=0.1,
    ),
    "multi_view_stereo": SensorNoise(
        "multi_view_stereo", 1.0, (1e-3, 1e-3, 1.2e-3), 0.0, correlated_share=0.9, correlation_px=20, lateral_px=0.5,
        flying_share=0.6, fattening_px=6, wave_bias=0.006, outlier_px=9, hole_share=0.12, hole_px=30,
        grazing_cosine=0.2,
    ),
    "time_of_flight": SensorNoise(
        "time_of_flight", 1.0, (0.5e-3, 2e-3, 0.0), 0.0, correlated_share=0.2, correlation_px=6, flying_share=0.9,
        corner_bias=0.08, wave_bias=0.004, dark_share=0.05, outlier_px=3, hole_share=0.01, hole_px=15,
        grazing_cosine=0.1,
    ),
    "passive_stereo": SensorNoise(
        "passive_stereo", 1.0, (0.5e-3, 0.0, 1.2e-3), 0.0, correlated_share=0.6, correlation_px=12, lateral_px=0.3,
        flying_share=0.3, fattening_px=8, baseline_m=0.12, outlier_px=6, hole_share=0.15, hole_px=40,
        grazing_cosine=0.1, streak_share=0.06,
    ),
}  # fmt: skip
"""One sensor of each family at level 1 and without outliers."""

TRAINING_FAMILIES = ("structured_light", "active_stereo", "multi_view_stereo")
"""Time of flight, whose depth is biased in corners, and passive stereo, with streaks along the rows, are left out: to
test on sensors never trained on."""

LEVELS: dict[str, SensorNoise] = {
    "clean": SensorNoise(),
    **{
        name: replace(FAMILIES["structured_light"], level=level, outlier_share=share)
        for name, level, share in (("mild", 2.0, 0.01), ("hard", 5.0, 0.05), ("extreme", 10.0, 0.14))
    },
}
"""Levels for evaluation, all structured light but the first, which is exact."""


def random_sensor(rng: np.random.Generator, families: tuple[str, ...] = TRAINING_FAMILIES) -> SensorNoise:
    """A sensor of one of the families, from ideal (1 in 10) to extreme, with every property varied."""
    if rng.random() < 0.1:
        return SensorNoise()
    base = FAMILIES[families[rng.integers(len(families))]]

    def varied(value: float, factor: float = 2.0) -> float:
        return float(value * factor ** rng.uniform(-1, 1))

    return replace(
        base,
        level=float(rng.uniform(0, 10) ** 1.3 / 10**0.3),
        correlated_share=min(varied(base.correlated_share, 1.5), 0.95),
        correlation_px=varied(base.correlation_px),
        lateral_px=varied(base.lateral_px),
        wobble_px=max(base.wobble_px, float(rng.uniform(-1.5, 1.5))),
        inverse_depth_step=varied(base.inverse_depth_step),
        flying_share=min(varied(base.flying_share), 1.0),
        fattening_px=varied(base.fattening_px),
        baseline_m=varied(base.baseline_m, 1.5),
        corner_bias=varied(base.corner_bias),
        wave_bias=varied(base.wave_bias),
        dark_share=varied(base.dark_share),
        outlier_share=float(0.14 * rng.uniform(0, 1) ** 1.5),
        outlier_px=varied(base.outlier_px),
        hole_share=varied(base.hole_share, 3.0),
        hole_px=varied(base.hole_px),
        grazing_cosine=varied(base.grazing_cosine),
        streak_share=varied(base.streak_share),
    )
