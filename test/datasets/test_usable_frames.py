# SPDX-License-Identifier: Apache-2.0
"""The pass over a recording: what is counted, what is yielded, when it fails."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.datasets.usable_frames import UnusableFrame, usable_frames


def unusable() -> Frame:
    raise UnusableFrame("size", "the image is 1x1")


def test_unusable_and_late_frames_are_counted_and_skipped(frames: list[Frame]) -> None:
    rejected = Counter({"left from the last pass": 1})
    attempts = [lambda: frames[0], unusable, lambda: frames[2], lambda: frames[1], lambda: frames[2], lambda: frames[3]]
    assert list(usable_frames(Path("x"), attempts, rejected)) == [frames[0], frames[2], frames[3]]
    assert rejected == {"size": 1, "time": 2}


def test_frames_are_made_one_at_a_time(frames: list[Frame]) -> None:
    calls: list[int] = []

    def attempt(index: int) -> Frame:
        calls.append(index)
        return frames[index]

    passing = usable_frames(Path("x"), (partial(attempt, k) for k in range(5)), Counter())
    next(passing)
    assert calls == [0]


def test_no_usable_frame_is_an_error_with_the_first_problem() -> None:
    with pytest.raises(RecordingError, match=r"kitchen: none of 2 depth images is usable.*the image is 1x1"):
        list(usable_frames(Path("kitchen"), [unusable, unusable], Counter()))
