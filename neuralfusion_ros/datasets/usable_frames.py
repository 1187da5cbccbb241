# SPDX-License-Identifier: Apache-2.0
"""The pass over a recording that all sources share: yield the usable frames, count the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.mapping.camera import PinholeCamera


class UnusableFrame(Exception):
    """One frame cannot be used. `reason` is the key under which it is counted; the message has the details."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def usable_frames(path: Path, attempts: Iterable[Callable[[], Frame]], rejected: Counter[str]) -> Iterator[Frame]:
    """Call each attempt and yield its frame; count in `rejected` those that raise UnusableFrame or go back in time.

    Raises RecordingError after the last attempt when none gave a frame.
    """
    rejected.clear()
    last_stamp_ns = -1
    first_problem = "there are no depth images"
    for attempt in attempts:
        try:
            frame = attempt()
            if frame.stamp_ns <= last_stamp_ns:
                raise UnusableFrame("time", f"time does not increase at {frame.stamp_ns / 1e9:.6f} s")
        except UnusableFrame as problem:
            if not rejected:
                first_problem = str(problem)
            rejected[problem.reason] += 1
            continue
        last_stamp_ns = frame.stamp_ns
        yield frame
    if last_stamp_ns < 0:
        count = rejected.total()
        raise RecordingError(f"{path}: none of {count} depth images is usable; first problem: {first_problem}")


def check_size(camera: PinholeCamera, width: int, height: int) -> None:
    """Raise UnusableFrame when an image does not have the camera's size."""
    if (width, height) != (camera.width, camera.height):
        message = f"the image is {width}x{height}, the camera {camera.width}x{camera.height}"
        raise UnusableFrame("size", message)
