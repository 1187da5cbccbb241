# SPDX-License-Identifier: Apache-2.0
"""From a clean sensor to an extreme one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, one_of, setting
from neuralfusion_ros.evaluation.experiments.ladders import ladder_page
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = """One structured-light sensor at growing strength: noise and outliers grow together. Axial noise is 0, 2, 5 and
10 times that of a Kinect v1 and outliers are 0, 1, 5 and 14 % of the pixels for clean, mild, hard and extreme.
"""


@dataclass(frozen=True)
class NoiseLadder:
    """Scores over the named levels of noise."""

    name: ClassVar[str] = "noise"
    summary: ClassVar[str] = "from a clean sensor to an extreme one"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    levels: tuple[str, ...] = setting(tuple(LEVELS), one_of(LEVELS), f"levels of noise, of {', '.join(LEVELS)}")

    def run(self, bench: Bench) -> Page:
        """Measures every level."""
        sensors = {level: LEVELS[level] for level in self.levels}
        return ladder_page(bench, self.name, "Noise ladder", _TEXT, "noise level", sensors)
