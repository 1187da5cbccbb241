# SPDX-License-Identifier: Apache-2.0
"""The kind of a recording is told by its content."""

from pathlib import Path

import pytest

from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.datasets.rosbag import BagTopics, RosbagRecording
from neuralfusion_ros.datasets.sequence_folder import SequenceFolder


@pytest.fixture
def bag(make_bag, messages, camera, frames) -> Path:
    return make_bag([*messages.depth_entries(camera, frames), *messages.pose_entries(frames)])


def test_sequence_folder(sequence: Path) -> None:
    assert isinstance(open_recording(str(sequence)), SequenceFolder)


def test_bag_folder_and_file(bag: Path) -> None:
    assert isinstance(open_recording(bag), RosbagRecording)
    assert isinstance(open_recording(bag / "bag.mcap"), RosbagRecording)


def test_bag_folder_that_lost_its_metadata(bag: Path) -> None:
    (bag / "metadata.yaml").unlink()
    assert len(list(open_recording(bag))) == 5


def test_name_is_that_of_the_folder(sequence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sequence)
    assert open_recording(".").name == "sequence"


@pytest.mark.parametrize("part", ["depth.txt", "groundtruth.txt"])
def test_incomplete_tum_folder_says_what_is_missing(tmp_path: Path, part: str) -> None:
    (tmp_path / part).write_text("1.0 depth/1.png" if part == "depth.txt" else "1 0 0 0 0 0 0 1")
    other = {"depth.txt", "groundtruth.txt"} - {part}
    with pytest.raises(RecordingError, match=f"{other.pop()} is missing"):
        open_recording(tmp_path)


def test_incomplete_sequence_folder_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    with pytest.raises(RecordingError, match=r"camera_info\.json is missing"):
        open_recording(tmp_path)


def test_missing_path_and_foreign_content(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nothing is missing"):
        open_recording(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(RecordingError, match=r"is not a recording: looked for depth/.*groundtruth\.txt.*\.mcap"):
            open_recording(path)


def test_topics_are_for_bags_only(sequence: Path) -> None:
    with pytest.raises(RecordingError, match="not a bag"):
        open_recording(sequence, BagTopics(depth="/depth/image"))
