# SPDX-License-Identifier: Apache-2.0
"""More and more outliers at the same noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, numbers_within, one_of, setting
from neuralfusion_ros.evaluation.experiments.ladders import ladder_page
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = """The share of outlier pixels grows, everything else of the sensor stays as at level {level}. Half of the
outliers are single pixels, half blobs; half lie anywhere between 0.3 and 8 m, half 5 to 50 cm off the surface.
"""


@dataclass(frozen=True)
class OutlierLadder:
    """Scores over the share of outliers."""

    name: ClassVar[str] = "outliers"
    summary: ClassVar[str] = "more and more outliers at the same noise"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    percent: tuple[float, ...] = setting((0.0, 1.0, 5.0, 10.0, 14.0), numbers_within(0, 50), "outliers, percent")
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level that gives the other properties")

    def run(self, bench: Bench) -> Page:
        """Measures every share."""
        base = LEVELS[self.level[0]]
        sensors = {f"{share:g} %": replace(base, outlier_share=share / 100) for share in self.percent}
        text = _TEXT.format(level=self.level[0])
        return ladder_page(bench, self.name, "Outlier ladder", text, "outlier pixels", sensors)
