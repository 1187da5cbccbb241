# SPDX-License-Identifier: Apache-2.0
"""Pose files: exact stamps, and one clear line for every kind of bad file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.datasets.trajectory import read_trajectory, write_trajectory
from neuralfusion_ros.mapping.poses import pose_matrix

POSE = "1 2 3 0 0 0 1"


def test_stamps_are_exact_to_the_nanosecond(tmp_path: Path) -> None:
    (tmp_path / "poses.txt").write_text(f"# comment\n\n1305031102.175304123 {POSE}\n")
    (pose,) = read_trajectory(tmp_path / "poses.txt")
    assert pose.stamp_ns == 1305031102175304123
    np.testing.assert_array_equal(pose.matrix()[:3, 3], [1, 2, 3])


@settings(deadline=None)
@given(stamp_ns=st.integers(0, 2**31 * 10**9 - 1), position=st.tuples(*[st.floats(-1e6, 1e6)] * 3))
def test_writing_loses_nothing(tmp_path_factory: pytest.TempPathFactory, stamp_ns: int, position: tuple) -> None:
    path = tmp_path_factory.getbasetemp() / "trajectory.txt"
    T = pose_matrix(position, (0.5, -0.5, 0.5, 0.5))
    write_trajectory(path, [(stamp_ns, T)])
    (pose,) = read_trajectory(path)
    assert pose.stamp_ns == stamp_ns
    np.testing.assert_allclose(pose.matrix(), T, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# nothing\n", "has no entries"),
        (f"0.0 {POSE} 9\n", "line 1: expected 'timestamp tx ty tz qx qy qz qw'"),
        ("0.0 1 2 3\n", "line 1: expected"),
        ("0.0 1 2 x 0 0 0 1\n", "expected numbers"),
        (f"soon {POSE}\n", "line 1: 'soon' is not a time"),
        (f"nan {POSE}\n", "is not a time"),
        (f"1e999999999 {POSE}\n", "is not a time"),
        (f"-1 {POSE}\n", "is not a time"),
        (f"inf {POSE}\n", "is not a time"),
        (f"1403636579763555584 {POSE}\n", "is not a time in seconds from 0 to 2^31"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "poses.txt"
    path.write_text(text)
    with pytest.raises(RecordingError) as caught:
        read_trajectory(path)
    assert problem in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"poses\.txt is missing"):
        read_trajectory(tmp_path / "poses.txt")
    (tmp_path / "poses.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match="cannot be read"):
        read_trajectory(tmp_path / "poses.txt")
