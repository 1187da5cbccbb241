# SPDX-License-Identifier: Apache-2.0
"""TUM RGB-D folders."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.datasets.tum import TumFolder
from neuralfusion_ros.mapping.camera import PinholeCamera


@pytest.fixture
def tum(tmp_path: Path) -> Path:
    """Images at 10.05, 10.15, 10.45 and 11.0 s; poses every 0.1 s up to 10.2 and at 10.5 s, where x = t."""
    path = tmp_path / "rgbd_dataset_freiburg2_desk"
    (path / "depth").mkdir(parents=True)
    images = ["# depth maps", "# timestamp filename"]
    for stamp in ("10.05", "10.15", "10.45", "11.0"):
        Image.fromarray(np.full((480, 640), 5000 * 2, np.uint16)).save(
            path / "depth" / f"{stamp}.png", compress_level=1
        )
        images.append(f"{stamp} depth/{stamp}.png")
    (path / "depth.txt").write_text("\n".join(images))
    poses = [f"{t} {t} 0 0 0 0 0 1.0001" for t in ("10.0", "10.1", "10.2", "10.5")]
    (path / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(poses))
    return path


def test_poses_are_interpolated_and_depth_is_scaled(tum: Path) -> None:
    recording = TumFolder(tum)
    frames = list(recording)
    assert [frame.stamp_ns for frame in frames] == [10_050_000_000, 10_150_000_000]
    np.testing.assert_allclose([frame.T_world_camera[0, 3] for frame in frames], [10.05, 10.15], atol=1e-12)
    assert (frames[0].depth_m == 2.0).all()
    assert recording.rejected == {"no pose: gap": 1, "no pose: after last": 1}
    assert len(recording) == 4


def test_gap_can_be_chosen(tum: Path) -> None:
    assert len(list(TumFolder(tum, max_pose_gap_ns=400_000_000))) == 3


@pytest.mark.parametrize(
    ("name", "fx"),
    [
        ("rgbd_dataset_freiburg1_xyz", 517.3),
        ("fr2_desk", 520.9),
        ("rgbd_dataset_freiburg3_office", 535.4),
        ("mine", 525.0),
    ],
)
def test_camera_follows_the_name_of_the_folder(
    tum: Path, name: str, fx: float, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert TumFolder(tum.rename(tum.parent / name)).camera.fx == fx
    assert ("unknown camera" in caplog.text) == (name == "mine")


def test_camera_file_wins(tum: Path) -> None:
    camera = {"width": 640, "height": 480, "fx": 500, "fy": 501, "cx": 1, "cy": 2}
    (tum / "camera_info.json").write_text(json.dumps(camera))
    recording = TumFolder(tum)
    assert recording.camera == PinholeCamera(**camera)
    assert next(iter(recording)).depth_m[0, 0] == 2.0


def test_unusable_pose_is_left_out(tum: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = (tum / "groundtruth.txt").read_text()
    (tum / "groundtruth.txt").write_text(text.replace("10.1 10.1 0 0 0 0 0 1.0001", "10.1 0 0 0 0 0 0 0"))
    assert [frame.T_world_camera[0, 3] for frame in TumFolder(tum)] == pytest.approx([10.05, 10.15])
    assert "10.100000 s is left out" in caplog.text


def test_missing_image_is_counted(tum: Path) -> None:
    (tum / "depth" / "10.05.png").unlink()
    recording = TumFolder(tum)
    assert len(list(recording)) == 1
    assert recording.rejected["unreadable image"] == 1


@pytest.mark.parametrize("part", ["depth.txt", "groundtruth.txt"])
def test_missing_part_is_named(tum: Path, part: str) -> None:
    (tum / part).unlink()
    with pytest.raises(RecordingError, match=f"{part} is missing"):
        TumFolder(tum)


def test_no_usable_pose_at_all(tum: Path) -> None:
    (tum / "groundtruth.txt").write_text("10.0 nan 0 0 0 0 0 1\n")
    with pytest.raises(RecordingError, match="none of its 1 poses is usable"):
        TumFolder(tum)


def test_recording_outside_the_poses_says_how_far_off(tum: Path) -> None:
    (tum / "groundtruth.txt").write_text("99.0 0 0 0 0 0 0 1\n")
    with pytest.raises(RecordingError, match=r"none of 4.*10\.050000 s.*99\.000000 s \(88\.950000 s later\)"):
        list(TumFolder(tum))
