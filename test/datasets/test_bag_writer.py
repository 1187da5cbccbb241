# SPDX-License-Identifier: Apache-2.0
"""Bags that are written here: read back here, and by ROS."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from neuralfusion_ros.datasets.bag_writer import CAMERA_FRAME, write_bag
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.datasets.rosbag import BagTopics, RosbagRecording
from neuralfusion_ros.datasets.sequence_folder import SequenceFolder
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import pose_matrix


@pytest.mark.parametrize("pose_topic", ["/pose", "/tf"])
def test_sequence_to_bag_and_back(
    sequence: Path, frames: list[Frame], assert_same_frames: Callable, pose_topic: str
) -> None:
    recording, path = SequenceFolder(sequence), sequence.parent / "bag"
    assert write_bag(path, recording.camera, recording) == 5
    bag = RosbagRecording(path, BagTopics(pose=pose_topic))
    assert (bag.camera, bag.topics.depth, bag.topics.camera_info) == (
        recording.camera,
        "/depth/image",
        "/depth/camera_info",
    )
    assert_same_frames(bag, frames)
    assert sorted(file.name for file in path.iterdir()) == ["bag.mcap", "metadata.yaml"]


def test_more_poses_than_images(tmp_path: Path, camera: PinholeCamera, frames: list[Frame]) -> None:
    moved = pose_matrix((9, 9, 9), (0, 0, 0, 1))
    extra = [(frames[index].stamp_ns + 1_000_000, moved) for index in (4, 0, 2)]
    write_bag(tmp_path / "bag", camera, frames, extra)
    with Reader(tmp_path / "bag") as reader:
        assert {topic: info.msgcount for topic, info in reader.topics.items()} == {
            "/depth/image": 5, "/depth/camera_info": 5, "/pose": 8, "/tf": 8,
        }  # fmt: skip
        stamps = [stamp for _, stamp, _ in reader.messages()]
    assert stamps == sorted(stamps)


def test_ros_reads_what_was_written(tmp_path: Path, camera: PinholeCamera, frames: list[Frame]) -> None:
    serialization = pytest.importorskip("rclpy.serialization", reason="needs ROS")
    from geometry_msgs.msg import PoseStamped
    from sensor_msgs.msg import CameraInfo, Image

    write_bag(tmp_path / "bag", camera, frames)
    read = {}
    with Reader(tmp_path / "bag") as reader:
        for connection, _, data in reader.messages():
            types = {"/depth/image": Image, "/depth/camera_info": CameraInfo, "/pose": PoseStamped}
            if connection.topic in types:
                read[connection.topic] = serialization.deserialize_message(data, types[connection.topic])
    image, info, pose = read["/depth/image"], read["/depth/camera_info"], read["/pose"]
    last = frames[-1]
    assert image.header.stamp.sec * 10**9 + image.header.stamp.nanosec == last.stamp_ns
    assert (image.encoding, image.width, image.height, image.step, image.is_bigendian) == ("16UC1", 8, 6, 16, 0)
    assert image.header.frame_id == info.header.frame_id == CAMERA_FRAME
    np.testing.assert_array_equal(np.frombuffer(image.data, "<u2").reshape(6, 8), np.rint(last.depth_m * 1000))
    assert [info.k[0], info.k[2], info.k[4], info.k[5]] == [camera.fx, camera.cx, camera.fy, camera.cy]
    assert (info.width, info.height, list(info.p[:3])) == (8, 6, [camera.fx, 0.0, camera.cx])
    assert pose.header.frame_id == "odom"
    assert pose.pose.position.x == last.T_world_camera[0, 3]


def test_existing_target_is_refused(tmp_path: Path, camera: PinholeCamera, frames: list[Frame]) -> None:
    with pytest.raises(RecordingError, match="exists already"):
        write_bag(tmp_path, camera, frames)


def test_nothing_is_left_after_an_error(tmp_path: Path, camera: PinholeCamera, frames: list[Frame]) -> None:
    with pytest.raises(RecordingError, match="no frames"):
        write_bag(tmp_path / "bag", camera, [])

    def broken():
        yield frames[0]
        raise RecordingError("the disk is full of holes")

    with pytest.raises(RecordingError, match="holes"):
        write_bag(tmp_path / "bag", camera, broken())
    assert list(tmp_path.iterdir()) == []


def test_real_data(data_dir: Path, tmp_path: Path, assert_same_frames: Callable) -> None:
    recording = SequenceFolder(data_dir / "7scenes_redkitchen")
    frames = list(islice(recording, 5))
    write_bag(tmp_path / "bag", recording.camera, frames)
    assert_same_frames(RosbagRecording(tmp_path / "bag"), frames)
