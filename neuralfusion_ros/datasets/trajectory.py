# SPDX-License-Identifier: Apache-2.0
"""Text files of the TUM RGB-D benchmark: one stamped entry per line, '#' starts a comment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.poses import Matrix, pose_matrix, position_and_quaternion

POSE_LINE = "timestamp tx ty tz qx qy qz qw"
# ROS stamps hold seconds in 32 bits with a sign.
_MAX_STAMP_NS = 2**31 * 10**9


class StampedPose(NamedTuple):
    """A pose as a file holds it; it may be unusable."""

    stamp_ns: int
    position_m: tuple[float, ...]
    quaternion_xyzw: tuple[float, ...]

    def matrix(self) -> Matrix:
        """The (4, 4) pose. Raises ValueError when it is not a finite pose with a unit quaternion."""
        return pose_matrix(self.position_m, self.quaternion_xyzw)


def read_trajectory(path: Path) -> list[StampedPose]:
    """All poses of a file. Raises RecordingError when it is missing, empty or a line is not a pose."""
    poses = []
    for stamp_ns, fields in read_stamped_lines(path, POSE_LINE):
        try:
            numbers = tuple(float(field) for field in fields)
        except ValueError:
            raise RecordingError(f"{path}: expected numbers '{POSE_LINE}', found '{' '.join(fields)[:80]}'") from None
        poses.append(StampedPose(stamp_ns, numbers[:3], numbers[3:]))
    return poses


def write_trajectory(path: Path, poses: Iterable[tuple[int, Matrix]]) -> None:
    """Write (stamp_ns, T_world_camera) pairs without loss."""
    lines = [f"# {POSE_LINE} (camera to world, optical frame)\n"]
    for stamp_ns, T_world_camera in poses:
        position, quaternion = position_and_quaternion(T_world_camera)
        numbers = " ".join(repr(float(number)) for number in (*position, *quaternion))
        lines.append(f"{stamp_ns // 10**9}.{stamp_ns % 10**9:09d} {numbers}\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_stamped_lines(path: Path, layout: str) -> list[tuple[int, list[str]]]:
    """The stamp in nanoseconds and the other fields of every line.

    layout: the names of the fields, separated by spaces. Raises RecordingError when the file is missing or empty, or
    a line has another number of fields or no time stamp.
    """
    entries = []
    for number, line in _lines(path):
        fields = line.split()
        if len(fields) != len(layout.split()):
            raise RecordingError(f"{path}, line {number}: expected '{layout}', found '{line[:80]}'")
        entries.append((_stamp_ns(path, number, fields[0]), fields[1:]))
    if not entries:
        raise RecordingError(f"{path} has no entries '{layout}'")
    return entries


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecordingError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _stamp_ns(path: Path, number: int, text: str) -> int:
    """Decimal, because a float does not hold today's time to the nanosecond."""
    try:
        time_ns = Decimal(text).scaleb(9).to_integral_value()
        if 0 <= time_ns < _MAX_STAMP_NS:
            return int(time_ns)
    except ArithmeticError:  # what decimal raises: no number, not a number, too large
        pass
    raise RecordingError(f"{path}, line {number}: '{text[:40]}' is not a time in seconds from 0 to 2^31")
