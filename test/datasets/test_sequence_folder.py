# SPDX-License-Identifier: Apache-2.0
"""Sequence folders: round trip, counted bad frames, refused folders."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.datasets.sequence_folder import SequenceFolder, write_sequence_folder
from neuralfusion_ros.mapping.camera import PinholeCamera


def replace_line(path: Path, index: int, line: str) -> None:
    lines = path.read_text().splitlines()
    lines[index] = line
    path.write_text("\n".join(lines))


def test_round_trip(sequence: Path, camera: PinholeCamera, frames: list[Frame], assert_same_frames: Callable) -> None:
    recording = SequenceFolder(sequence)
    assert (recording.name, recording.camera, len(recording)) == ("sequence", camera, 5)
    assert_same_frames(recording, frames)
    assert_same_frames(recording, frames)
    assert not recording.rejected


def test_bad_frames_are_counted_and_skipped(sequence: Path, frames: list[Frame]) -> None:
    image = sequence / "depth" / "000000.png"
    image.write_bytes(image.read_bytes()[:60])
    Image.fromarray(np.zeros((3, 4), np.uint16)).save(sequence / "depth" / "000001.png")
    replace_line(sequence / "poses.txt", 1 + 2, f"{frames[2].stamp_ns / 1e9} 0 0 nan 0 0 0 1")
    replace_line(sequence / "poses.txt", 1 + 3, f"{frames[3].stamp_ns / 1e9} 0 0 0 0 0 0 0")
    recording = SequenceFolder(sequence)
    assert [frame.stamp_ns for frame in recording] == [frames[4].stamp_ns]
    assert recording.rejected == {"unreadable image": 1, "size": 1, "pose": 2}
    assert len(recording) == 5


def test_all_images_unreadable_is_an_error(sequence: Path) -> None:
    for image in (sequence / "depth").iterdir():
        image.write_bytes(b"")
    with pytest.raises(RecordingError, match=r"none of 5 depth images is usable.*000000\.png cannot be read"):
        list(SequenceFolder(sequence))


def test_numbers_without_leading_zeros_are_sorted_as_numbers(
    sequence: Path, frames: list[Frame], camera: PinholeCamera
) -> None:
    depth = sequence / "depth"
    for index, image in enumerate(sorted(depth.iterdir())):
        image.rename(depth / f"{index + 8}.png")
    np.testing.assert_array_equal(next(iter(SequenceFolder(sequence))).depth_m, frames[0].depth_m)


def test_counts_of_images_and_poses_must_agree(sequence: Path) -> None:
    (sequence / "depth" / "000004.png").unlink()
    with pytest.raises(RecordingError, match="4 depth images but 5 poses"):
        SequenceFolder(sequence)


@pytest.mark.parametrize("part", ["depth", "poses.txt", "camera_info.json"])
def test_missing_part_is_named(sequence: Path, part: str) -> None:
    shutil.rmtree(sequence / part) if part == "depth" else (sequence / part).unlink()
    with pytest.raises(RecordingError, match=f"{part} is missing"):
        SequenceFolder(sequence)


def test_empty_sequence_is_not_written(tmp_path: Path, camera: PinholeCamera) -> None:
    with pytest.raises(RecordingError, match="no frames"):
        write_sequence_folder(tmp_path / "new", camera, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["7scenes_redkitchen", "synth_room_00"])
def test_real_data(data_dir: Path, name: str) -> None:
    recording = SequenceFolder(data_dir / name)
    frames = list(islice(recording, 5))
    assert len(frames) == 5 and len(recording) >= 100
    for frame in frames:
        assert frame.depth_m.shape == (480, 640)
        assert 0.3 < np.median(frame.depth_m[frame.depth_m > 0]) < 6.0
