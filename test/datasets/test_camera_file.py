# SPDX-License-Identifier: Apache-2.0
"""camera_info.json."""

import json
import logging
from pathlib import Path

import pytest

from neuralfusion_ros.datasets.camera_file import read_camera_file, write_camera_file
from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.camera import PinholeCamera

GOOD = {"width": 640, "height": 480, "fx": 585, "fy": 585.5, "cx": 320, "cy": 240}


def write(path: Path, **changes: object) -> Path:
    (path / "camera_info.json").write_text(json.dumps({**GOOD, **changes}))
    return path / "camera_info.json"


def test_round_trip(tmp_path: Path, camera: PinholeCamera) -> None:
    write_camera_file(tmp_path / "camera_info.json", camera)
    assert read_camera_file(tmp_path / "camera_info.json") == (camera, 1000.0)


def test_depth_scale_of_the_file_wins_over_the_default(tmp_path: Path) -> None:
    assert read_camera_file(write(tmp_path), 5000.0)[1] == 5000.0
    assert read_camera_file(write(tmp_path, depth_scale=4000), 5000.0)[1] == 4000.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fx": None}, "'fx' must be a number"),
        ({"fx": "585"}, "'fx' must be a number"),
        ({"fx": 0}, "focal lengths must be positive"),
        ({"cy": float("nan")}, "finite"),
        ({"cx": 10**400}, "too large"),
        ({"width": 640.5}, "'width' must be a whole number"),
        ({"width": True}, "'width' must be a number"),
        ({"height": 0}, "image size must be positive"),
        ({"depth_scale": 0}, "depth_scale must be positive"),
        ({"depth_scale": float("inf")}, "depth_scale must be positive"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, changes: dict, problem: str) -> None:
    with pytest.raises(RecordingError, match=problem):
        read_camera_file(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "not valid JSON"), ("[]", "JSON object"), ("{}", "'width' is missing")]
)
def test_bad_files_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "camera_info.json"
    path.write_text(text)
    with pytest.raises(RecordingError, match=problem) as caught:
        read_camera_file(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"camera_info\.json is missing"):
        read_camera_file(tmp_path / "camera_info.json")


def test_distortion_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_camera_file(write(tmp_path, distortion_model="plumb_bob"))
    assert "distortion is ignored" in caplog.text
