# SPDX-License-Identifier: Apache-2.0
"""Opening a recording of any supported kind."""

from __future__ import annotations

from pathlib import Path

from neuralfusion_ros.datasets.recording import MAX_POSE_GAP_NS, Recording, RecordingError
from neuralfusion_ros.datasets.rosbag import FIND_TOPICS, BagTopics, RosbagRecording
from neuralfusion_ros.datasets.sequence_folder import SequenceFolder
from neuralfusion_ros.datasets.tum import TumFolder

_BAG_SUFFIXES = (".mcap", ".db3")


def open_recording(
    path: str | Path, topics: BagTopics = FIND_TOPICS, max_pose_gap_ns: int = MAX_POSE_GAP_NS
) -> Recording:
    """Open a sequence folder, a TUM RGB-D folder, a rosbag2 folder or a single .mcap or .db3 file, told by content.

    topics: which topics of a bag to read. max_pose_gap_ns: poses further apart are not interpolated (TUM and bags).
    Raises RecordingError.
    """
    path = Path(path)
    if not path.exists():
        raise RecordingError(f"{path} is missing")
    if bag := _bag(path):
        return RosbagRecording(bag, topics, max_pose_gap_ns)
    if topics != FIND_TOPICS:
        raise RecordingError(f"{path} is not a bag, so topics cannot be chosen")
    if (path / "depth.txt").exists() or (path / "groundtruth.txt").exists():
        return TumFolder(path, max_pose_gap_ns)
    if any((path / part).exists() for part in ("depth", "poses.txt", "camera_info.json")):
        return SequenceFolder(path)
    raise RecordingError(
        f"{path} is not a recording: looked for depth/, camera_info.json and poses.txt (sequence folder), "
        "depth.txt and groundtruth.txt (TUM RGB-D), metadata.yaml or one .mcap or .db3 file (rosbag2)"
    )


def _bag(path: Path) -> Path | None:
    """The rosbag2 folder or storage file that `path` is or, without metadata.yaml, holds."""
    if path.suffix in _BAG_SUFFIXES or (path / "metadata.yaml").exists():
        return path
    files = [file for file in path.glob("*") if file.suffix in _BAG_SUFFIXES] if path.is_dir() else []
    return files[0] if len(files) == 1 else None
