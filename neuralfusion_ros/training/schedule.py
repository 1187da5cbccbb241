# SPDX-License-Identifier: Apache-2.0
"""How far a run has come, and the learning rate there."""

from __future__ import annotations

import math

from neuralfusion_ros.training.settings import TrainingSettings

_LAST_RATE = 0.05


def is_over(settings: TrainingSettings, step: int, minutes: float) -> bool:
    """All steps are taken, or all the time is used up."""
    out_of_steps = settings.steps is not None and step >= settings.steps
    return out_of_steps or (settings.minutes is not None and minutes >= settings.minutes)


def share_done(settings: TrainingSettings, step: int, minutes: float) -> float:
    """In [0, 1], before a step: along the steps if their number is set, otherwise along the minutes."""
    if settings.steps is not None:
        return min(1.0, step / settings.steps)
    assert settings.minutes is not None
    return min(1.0, minutes / settings.minutes)


def rate_factor(settings: TrainingSettings, step: int, minutes: float) -> float:
    """Factor on the learning rates in step `step`, from 0: a linear warm-up, then half a cosine down to 5 percent."""
    warm_up = min(1.0, (step + 1) / settings.warm_up_steps)
    fall = 0.5 * (1 + math.cos(math.pi * share_done(settings, step, minutes)))
    return warm_up * (_LAST_RATE + (1 - _LAST_RATE) * fall)
