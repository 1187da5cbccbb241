# SPDX-License-Identifier: Apache-2.0
"""Sequence folders: depth/*.png in millimetres, camera_info.json and poses.txt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from neuralfusion_ros.datasets.camera_file import CAMERA_FILE, read_camera_file, write_camera_file
from neuralfusion_ros.datasets.depth_png import read_depth_png, write_depth_png
from neuralfusion_ros.datasets.new_folder import new_folder
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.datasets.trajectory import StampedPose, read_trajectory, write_trajectory
from neuralfusion_ros.datasets.usable_frames import UnusableFrame, usable_frames
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import Matrix


class SequenceFolder:
    """A folder with one pose per image: line k of poses.txt belongs to the k-th image of depth/.

    Raises RecordingError when a part is missing or the numbers of images and poses differ.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.resolve().name
        self.rejected: Counter[str] = Counter()
        self._path = path
        self.camera, self._depth_scale = read_camera_file(path / CAMERA_FILE)
        self._poses = read_trajectory(path / "poses.txt")
        if not (path / "depth").is_dir():
            raise RecordingError(f"{path / 'depth'} is missing: the folder of the depth images")
        # The length first, so that 10.png comes after 9.png.
        self._images = sorted((path / "depth").glob("*.png"), key=lambda image: (len(image.name), image.name))
        if len(self._images) != len(self._poses):
            raise RecordingError(f"{path} has {len(self._images)} depth images but {len(self._poses)} poses")

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self._path, self._attempts(), self.rejected)

    def _attempts(self) -> Iterator[Callable[[], Frame]]:
        for image, pose in zip(self._images, self._poses, strict=True):
            yield partial(self._read, image, pose)

    def _read(self, image: Path, pose: StampedPose) -> Frame:
        try:
            T_world_camera = pose.matrix()
        except ValueError as error:
            raise UnusableFrame("pose", f"{image}: {error}") from error
        return Frame(pose.stamp_ns, read_depth_png(image, self.camera, self._depth_scale), T_world_camera)


def write_sequence_folder(path: Path, camera: PinholeCamera, frames: Iterable[Frame]) -> int:
    """Write frames as a new sequence folder, with depth rounded to millimetres. Returns how many were written.

    Raises RecordingError when the folder exists, cannot be written or would be empty.
    """
    poses: list[tuple[int, Matrix]] = []
    with new_folder(path) as folder:
        (folder / "depth").mkdir(parents=True)
        write_camera_file(folder / CAMERA_FILE, camera)
        for frame in frames:
            write_depth_png(folder / "depth" / f"{len(poses):06d}.png", frame.depth_m)
            poses.append((frame.stamp_ns, frame.T_world_camera))
        if not poses:
            raise RecordingError(f"{path} is not written: there are no frames")
        write_trajectory(folder / "poses.txt", poses)
    return len(poses)
