# SPDX-License-Identifier: Apache-2.0
"""Kinds of sensors, among them one that no network was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, numbers_within, setting
from neuralfusion_ros.evaluation.experiments.ladders import ladder_page
from neuralfusion_ros.training.sensor_families import FAMILIES, TRAINING_FAMILIES

_TEXT = """Sensors that work in different ways, all with {level:g} times their own axial noise and {percent:g} %
outliers. Families marked with * were left out of the training: what the network does there it has not practised. Time
of flight has errors with a sign, which no averaging removes: depth in corners is too long, mixed pixels hang in the
air.
"""


@dataclass(frozen=True)
class FamilyComparison:
    """Scores over the families of sensors."""

    name: ClassVar[str] = "families"
    summary: ClassVar[str] = "kinds of sensors, with one that was left out of the training"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    level: tuple[float, ...] = setting((5.0,), numbers_within(0, 20), "factor on the axial noise")
    percent: tuple[float, ...] = setting((5.0,), numbers_within(0, 50), "outliers, percent")

    def run(self, bench: Bench) -> Page:
        """Measures every family."""
        level, percent = self.level[0], self.percent[0]
        sensors = {
            family.replace("_", " ") + ("" if family in TRAINING_FAMILIES else " *"): replace(
                sensor, level=level, outlier_share=percent / 100
            )
            for family, sensor in FAMILIES.items()
        }
        text = _TEXT.format(level=level, percent=percent)
        return ladder_page(bench, self.name, "Families of sensors", text, "family (* not trained on)", sensors)
