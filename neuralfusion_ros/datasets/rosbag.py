# SPDX-License-Identifier: Apache-2.0
"""Depth images and poses of a rosbag2 recording (folder, .mcap or .db3), read without ROS."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neuralfusion_ros.datasets.bag_poses import camera_poses
from neuralfusion_ros.datasets.bag_reader import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, BagReader, stamp_ns
from neuralfusion_ros.datasets.recording import MAX_POSE_GAP_NS, Frame, RecordingError
from neuralfusion_ros.datasets.usable_frames import UnusableFrame, check_size, usable_frames
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.depth_encoding import DEPTH_ENCODINGS, decode_depth_bytes
from neuralfusion_ros.mapping.poses import NoPose
from neuralfusion_ros.mapping.transforms import frame_name

# A radial coefficient of this size moves a corner pixel by a few hundredths of a pixel.
_DISTORTION_TOLERANCE = 1e-4

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagTopics:
    """Names of the topics to read. None: found by type, content and name."""

    depth: str | None = None
    camera_info: str | None = None
    pose: str | None = None


FIND_TOPICS = BagTopics()


class RosbagRecording:
    """One depth camera of a bag. The poses are read when it is opened, the images while iterating.

    topics: the topics in use. Raises RecordingError when the bag lacks depth images, a camera or poses.
    """

    def __init__(self, path: Path, topics: BagTopics = FIND_TOPICS, max_pose_gap_ns: int = MAX_POSE_GAP_NS) -> None:
        self.name = path.resolve().stem
        self.rejected: Counter[str] = Counter()
        self._path = path
        with BagReader(path) as bag:
            depth_topic, image = _find_depth(bag, topics.depth)
            info_topic = topics.camera_info or _find_camera_info(bag, depth_topic)
            self.camera = _read_camera(bag, info_topic)
            camera_frame = frame_name(image.header.frame_id)
            pose_topic, self._pose_at = camera_poses(bag, camera_frame, topics.pose, max_pose_gap_ns)
            self._count = bag.topics(IMAGE)[depth_topic]
        self.topics = BagTopics(depth_topic, info_topic, pose_topic)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self._path, self._attempts(), self.rejected)

    def _attempts(self) -> Iterator[Callable[[], Frame]]:
        with BagReader(self._path) as bag:
            for _, image in bag.messages(str(self.topics.depth)):
                yield partial(self._frame, image)

    def _frame(self, image: Any) -> Frame:
        if image is None:
            raise UnusableFrame("unreadable image", f"a message on {self.topics.depth} cannot be decoded")
        check_size(self.camera, image.width, image.height)
        time_ns = stamp_ns(image.header.stamp)
        try:
            T_world_camera = self._pose_at(time_ns)
        except NoPose as error:
            raise UnusableFrame(f"no pose: {error.reason}", f"{self.topics.pose}: {error}") from error
        try:
            bigendian = bool(image.is_bigendian)
            depth_m = decode_depth_bytes(image.data, (image.width, image.height), image.step, image.encoding, bigendian)
        except ValueError as error:
            raise UnusableFrame("unreadable image", f"{self.topics.depth}: {error}") from error
        return Frame(time_ns, depth_m, T_world_camera)


def _find_depth(bag: BagReader, wanted: str | None) -> tuple[str, Any]:
    """The depth topic and its first image: the wanted one, else the first with depth, 'depth' in the name first."""
    topics = sorted(bag.topics(IMAGE), key=lambda topic: ("depth" not in topic.lower(), topic))
    for topic in topics if wanted is None else [wanted]:
        image = bag.first(topic) if topic in topics else None
        if image is not None and image.encoding in DEPTH_ENCODINGS:
            return topic, image
    looked_for = f"depth images on {wanted}" if wanted else "depth images"
    hint = "; compressed images are not supported" if bag.topics(COMPRESSED_IMAGE) else ""
    encodings = ", ".join(sorted(DEPTH_ENCODINGS))
    raise RecordingError(f"{bag.path} has no {looked_for} ({IMAGE}, {encodings}){hint}; its topics: {bag.summary()}")


def _find_camera_info(bag: BagReader, depth_topic: str) -> str:
    """camera_info in the namespace of the depth topic, else the only one in the bag."""
    sibling = depth_topic.rpartition("/")[0] + "/camera_info"
    topics = bag.topics(CAMERA_INFO)
    if sibling in topics:
        return sibling
    if len(topics) == 1:
        return next(iter(topics))
    raise RecordingError(f"{bag.path} has no {CAMERA_INFO} on {sibling}; its topics: {bag.summary()}")


def _read_camera(bag: BagReader, topic: str) -> PinholeCamera:
    info = bag.first(topic) if topic in bag.topics(CAMERA_INFO) else None
    if info is None:
        raise RecordingError(f"{bag.path} has no {CAMERA_INFO} on {topic}; its topics: {bag.summary()}")
    if not all(abs(coefficient) <= _DISTORTION_TOLERANCE for coefficient in info.d):
        _log.warning("%s: the lens distortion on %s is ignored; use rectified images", bag.path, topic)
    fx, fy, cx, cy = (float(info.k[index]) for index in (0, 4, 2, 5))
    try:
        return PinholeCamera(int(info.width), int(info.height), fx, fy, cx, cy)
    except ValueError as error:
        raise RecordingError(f"{bag.path}: the camera on {topic} is not usable: {error}") from error
