# SPDX-License-Identifier: Apache-2.0
"""Folders of the TUM RGB-D benchmark: depth.txt, depth/*.png (5000 units per metre) and groundtruth.txt."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from neuralfusion_ros.datasets.camera_file import CAMERA_FILE, read_camera_file
from neuralfusion_ros.datasets.depth_png import read_depth_png
from neuralfusion_ros.datasets.recording import MAX_POSE_GAP_NS, Frame, RecordingError
from neuralfusion_ros.datasets.trajectory import read_stamped_lines, read_trajectory
from neuralfusion_ros.datasets.usable_frames import UnusableFrame, usable_frames
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import NoPose, PoseTrack

_DEPTH_SCALE = 5000.0
_DEFAULT_CAMERA = PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5)
# The benchmark publishes these numbers and ships no calibration file. Marks of the folder's name -> camera.
_CAMERAS = {
    ("freiburg1", "fr1"): PinholeCamera(640, 480, 517.3, 516.5, 318.6, 255.3),
    ("freiburg2", "fr2"): PinholeCamera(640, 480, 520.9, 521.0, 325.1, 249.7),
    ("freiburg3", "fr3"): PinholeCamera(640, 480, 535.4, 539.2, 320.1, 247.6),
}

_log = logging.getLogger(__name__)


class TumFolder:
    """A TUM RGB-D sequence. The pose of an image is interpolated between its neighbours in groundtruth.txt.

    The camera comes from camera_info.json if the folder has one, else from its name (freiburg1, 2, 3), else it is the
    default of ROS drivers. The small lens distortion of freiburg1 and 2 is ignored.
    Raises RecordingError when a part is missing.
    """

    def __init__(self, path: Path, max_pose_gap_ns: int = MAX_POSE_GAP_NS) -> None:
        self.name = path.resolve().name
        self.rejected: Counter[str] = Counter()
        self._path = path
        self._max_pose_gap_ns = max_pose_gap_ns
        entries = read_stamped_lines(path / "depth.txt", "timestamp filename")
        self._images = sorted((stamp_ns, path / fields[0]) for stamp_ns, fields in entries)
        self._track = _read_track(path / "groundtruth.txt")
        self.camera, self._depth_scale = _camera(path)

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self._path, self._attempts(), self.rejected)

    def _attempts(self) -> Iterator[Callable[[], Frame]]:
        for stamp_ns, image in self._images:
            yield partial(self._read, stamp_ns, image)

    def _read(self, stamp_ns: int, image: Path) -> Frame:
        try:
            T_world_camera = self._track.at(stamp_ns, self._max_pose_gap_ns)
        except NoPose as error:
            raise UnusableFrame(f"no pose: {error.reason}", str(error)) from error
        return Frame(stamp_ns, read_depth_png(image, self.camera, self._depth_scale), T_world_camera)


def _read_track(path: Path) -> PoseTrack:
    track = PoseTrack()
    poses = read_trajectory(path)
    for pose in poses:
        try:
            track.add(pose.stamp_ns, pose.matrix())
        except ValueError as error:
            _log.warning("%s: the pose at %.6f s is left out: %s", path, pose.stamp_ns / 1e9, error)
    if not len(track):
        raise RecordingError(f"{path}: none of its {len(poses)} poses is usable")
    return track


def _camera(path: Path) -> tuple[PinholeCamera, float]:
    if (path / CAMERA_FILE).exists():
        return read_camera_file(path / CAMERA_FILE, default_depth_scale=_DEPTH_SCALE)
    name = path.resolve().name.lower()
    for marks, camera in _CAMERAS.items():
        if any(mark in name for mark in marks):
            return camera, _DEPTH_SCALE
    _log.warning("%s: unknown camera, taking the default of ROS drivers; %s in the folder sets it", path, CAMERA_FILE)
    return _DEFAULT_CAMERA, _DEPTH_SCALE
