# SPDX-License-Identifier: Apache-2.0
"""The learning rate over steps or over time."""

from itertools import pairwise

import pytest

from neuralfusion_ros.training.schedule import is_over, rate_factor
from neuralfusion_ros.training.settings import SettingsError, TrainingSettings


def test_warm_up_then_a_fall_along_the_steps():
    settings = TrainingSettings(steps=1000, warm_up_steps=10)
    factors = [rate_factor(settings, step, minutes=77.0) for step in range(1000)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1.0, abs=1e-3)
    assert factors[500] == pytest.approx(0.525, abs=1e-3)
    assert factors[-1] == pytest.approx(0.05, abs=1e-4)
    assert all(late < early for early, late in pairwise(factors[10:]))


def test_without_steps_the_rate_falls_along_the_time():
    settings = TrainingSettings(steps=None, minutes=60.0, warm_up_steps=1)
    assert [rate_factor(settings, 900, minutes) for minutes in (0, 30, 60, 61)] == pytest.approx([1, 0.525, 0.05, 0.05])


def test_steps_and_minutes_together():
    """The steps decide the rate; the minutes only stop the run."""
    both, steps = TrainingSettings(steps=100, minutes=10.0), TrainingSettings(steps=100)
    assert rate_factor(both, 50, 9.0) == rate_factor(steps, 50, 0.0)
    assert [is_over(both, 99, 9.9), is_over(both, 100, 0.0), is_over(both, 0, 10.0)] == [False, True, True]
    assert not is_over(steps, 99, 1e9)
    assert not is_over(TrainingSettings(steps=None, minutes=10.0), 10**9, 9.9)


def test_a_run_must_end():
    with pytest.raises(SettingsError, match="steps or minutes"):
        TrainingSettings(steps=None)
