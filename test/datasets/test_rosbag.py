# SPDX-License-Identifier: Apache-2.0
"""Depth and poses of bags: every source of poses, the choice of topics, every error."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from neuralfusion_ros.datasets.bag_reader import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POSE_STAMPED,
    TF_MESSAGE,
    TYPES,
)
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.datasets.rosbag import BagTopics, RosbagRecording
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import interpolate, pose_matrix

T_BODY_CAMERA = pose_matrix((0.1, 0.2, 0.3), (-0.5, 0.5, -0.5, 0.5))
HALF_STEP_NS = 50_000_000


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("as_file", [False, True])
def test_poses_by_pose_stamped(
    make_bag, messages, camera, frames, assert_same_frames, storage: StoragePlugin, as_file: bool
) -> None:
    path = make_bag([*messages.depth_entries(camera, frames), *messages.pose_entries(frames)], storage)
    if as_file:
        path = next(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))
    recording = RosbagRecording(path)
    assert (recording.name, recording.camera, len(recording)) == ("bag", camera, 5)
    assert recording.topics == BagTopics("/cam/depth/image_raw", "/cam/depth/camera_info", "/cam/pose")
    assert_same_frames(recording, frames)
    assert_same_frames(recording, frames)


def odometry_entries(messages, frames: list[Frame], child: str, T_child_camera: np.ndarray) -> list:
    T_camera_child = np.linalg.inv(T_child_camera)
    return [
        ("/odom", ODOMETRY, f.stamp_ns, messages.odometry(f.stamp_ns, f.T_world_camera @ T_camera_child, child))
        for f in frames
    ]


def mounting_entries(messages) -> list:
    """camera is fixed on mast, which is fixed on body."""
    T_mast_camera = np.linalg.inv(pose_matrix((0, 0, 1), (0, 0, 0, 1))) @ T_BODY_CAMERA
    transforms = [
        messages.transform(0, "/mast", "camera", T_mast_camera),
        messages.transform(0, "body", "mast", pose_matrix((0, 0, 1), (0, 0, 0, 1))),
    ]
    return [("/tf_static", TF_MESSAGE, 0, messages.tf(*transforms))]


def test_poses_by_odometry_of_the_camera(make_bag, messages, camera, frames, assert_same_frames) -> None:
    entries = [*messages.depth_entries(camera, frames), *odometry_entries(messages, frames, "camera", np.eye(4))]
    assert_same_frames(RosbagRecording(make_bag(entries)), frames)


def test_poses_by_odometry_and_mounting(make_bag, messages, camera, frames, assert_same_frames) -> None:
    poses = [*odometry_entries(messages, frames, "body", T_BODY_CAMERA), *mounting_entries(messages)]
    assert_same_frames(RosbagRecording(make_bag([*messages.depth_entries(camera, frames), *poses])), frames)


def test_odometry_without_mounting_is_taken_for_the_camera(
    make_bag, messages, camera, frames, assert_same_frames, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [*messages.depth_entries(camera, frames), *odometry_entries(messages, frames, "body", np.eye(4))]
    with caplog.at_level(logging.WARNING):
        assert_same_frames(RosbagRecording(make_bag(entries)), frames)
    assert "no transform from 'camera' to 'body'" in caplog.text


def test_poses_by_transforms_at_the_time_of_the_image(make_bag, messages, camera, frames) -> None:
    """The body moves in odom between the images; odom is fixed in map; the camera is mounted on the body."""
    entries = [*messages.depth_entries(camera, frames), *mounting_entries(messages)]
    T_map_odom, T_camera_body = pose_matrix((5, 0, 0), (0, 0, 1, 0)), np.linalg.inv(T_BODY_CAMERA)
    for frame in frames:
        stamp_ns = frame.stamp_ns - HALF_STEP_NS
        moving = messages.transform(stamp_ns, "odom", "body", frame.T_world_camera @ T_camera_body)
        other = messages.transform(stamp_ns, "body", "wheel", np.eye(4))
        entries.append(("/tf", TF_MESSAGE, stamp_ns, messages.tf(moving, other)))
    entries.append(("/tf_static", TF_MESSAGE, 0, messages.tf(messages.transform(0, "map", "odom", T_map_odom))))
    recording = RosbagRecording(make_bag(entries))
    read = list(recording)
    assert recording.rejected == {"no pose: after last": 1}
    for got, before, after in zip(read, frames, frames[1:], strict=False):
        T_odom_body = interpolate(before.T_world_camera @ T_camera_body, after.T_world_camera @ T_camera_body, 0.5)
        np.testing.assert_allclose(got.T_world_camera, T_map_odom @ T_odom_body @ T_BODY_CAMERA, atol=1e-9)


def test_pose_stamped_is_preferred_and_goals_are_no_poses(
    make_bag, messages, camera, frames, assert_same_frames
) -> None:
    poses = [
        *messages.pose_entries(frames),
        *odometry_entries(messages, frames[::-1], "camera", T_BODY_CAMERA),
        *messages.pose_entries([*frames, *frames], "/goal_pose"),
    ]
    assert_same_frames(RosbagRecording(make_bag([*messages.depth_entries(camera, frames), *poses])), frames)


def test_pose_topic_can_be_chosen(make_bag, messages, camera, frames, assert_same_frames) -> None:
    poses = [*messages.pose_entries(frames[::-1]), *odometry_entries(messages, frames, "camera", np.eye(4))]
    path = make_bag([*messages.depth_entries(camera, frames), *poses])
    assert_same_frames(RosbagRecording(path, BagTopics(pose="/odom")), frames)


def test_poses_of_another_rate_are_interpolated_up_to_the_gap(make_bag, messages, camera, frames) -> None:
    path = make_bag([*messages.depth_entries(camera, frames), *messages.pose_entries(frames[::4])])
    recording = RosbagRecording(path)
    assert len(list(recording)) == 2
    assert recording.rejected == {"no pose: gap": 3}
    middle = list(RosbagRecording(path, max_pose_gap_ns=400_000_000))[2].T_world_camera
    np.testing.assert_allclose(middle, interpolate(frames[0].T_world_camera, frames[4].T_world_camera, 0.5), atol=1e-9)


@pytest.mark.parametrize("order", ["<", ">"])
def test_float_images_of_either_byte_order(make_bag, messages, camera, frames, order: str) -> None:
    pixels = frames[0].depth_m.astype(order + "f4")
    pixels[0, :3] = [np.nan, np.inf, -np.inf]
    image = messages.image(frames[0].stamp_ns, pixels, "32FC1")
    (entry, *_) = messages.depth_entries(camera, [])
    entries = [entry, ("/cam/depth/image_rect", IMAGE, frames[0].stamp_ns, image), *messages.pose_entries(frames)]
    (read,) = RosbagRecording(make_bag(entries))
    expected = frames[0].depth_m.copy()
    expected[0, :3] = 0
    np.testing.assert_array_equal(read.depth_m, expected)


def test_depth_is_found_by_encoding_and_name(make_bag, messages, camera, frames, assert_same_frames) -> None:
    colour, infrared = np.zeros((6, 24), np.uint8), np.full((6, 8), 7, "<u2")
    entries = [
        ("/cam/a/image", IMAGE, 0, messages.image(0, colour, "rgb8")),
        ("/cam/aligned_depth_preview", IMAGE, 0, messages.image(0, colour, "rgb8")),
        ("/cam/b/infrared", IMAGE, 0, messages.image(0, infrared, "mono16")),
        ("/cam/a/camera_info", CAMERA_INFO, 0, messages.camera_info(PinholeCamera(9, 9, 1, 1, 0, 0))),
        *messages.depth_entries(camera, frames),
        *messages.pose_entries(frames),
    ]
    path = make_bag(entries)
    assert_same_frames(RosbagRecording(path), frames)
    chosen = BagTopics(depth="/cam/b/infrared", camera_info="/cam/depth/camera_info")
    with pytest.raises(RecordingError, match="none of 1 depth images"):
        list(RosbagRecording(path, chosen))


def test_only_camera_info_of_the_bag_is_taken(make_bag, messages, camera, frames, assert_same_frames) -> None:
    entries = [*messages.depth_entries(camera, frames), *messages.pose_entries(frames)]
    entries[0] = ("/elsewhere/info", *entries[0][1:])
    assert_same_frames(RosbagRecording(make_bag(entries)), frames)


def test_bad_messages_are_counted_and_skipped(
    make_bag, messages, camera, frames, caplog: pytest.LogCaptureFixture
) -> None:
    entries = messages.depth_entries(camera, frames)
    broken_pose = messages.pose_stamped(frames[0].stamp_ns + 1, np.eye(4))
    broken_pose.pose.orientation.w = 0.0
    wrong_size = messages.image(frames[1].stamp_ns, np.zeros((3, 4), "<u2"))
    short = messages.image(frames[2].stamp_ns, np.zeros((6, 8), "<u2"))
    short.data = short.data[:-1]
    entries[2] = (*entries[2][:3], wrong_size)
    entries[3] = (*entries[3][:3], short)
    entries[4] = (*entries[4][:3], TYPES.serialize_cdr(wrong_size, IMAGE).tobytes()[:50])
    poses = [
        *messages.pose_entries(frames),
        ("/cam/pose", POSE_STAMPED, 0, broken_pose),
        ("/cam/pose", POSE_STAMPED, 0, b""),
    ]
    recording = RosbagRecording(make_bag([*entries, *poses]))
    assert [frame.stamp_ns for frame in recording] == [frames[0].stamp_ns, frames[4].stamp_ns]
    assert recording.rejected == {"size": 1, "unreadable image": 2}
    assert len(recording) == 5
    assert "2 unusable poses on /cam/pose are left out" in caplog.text


def test_distortion_is_reported(make_bag, messages, camera, frames, caplog: pytest.LogCaptureFixture) -> None:
    entries = [*messages.depth_entries(camera, frames), *messages.pose_entries(frames)]
    entries[0] = (*entries[0][:3], messages.camera_info(camera, [0.1, 0, 0, 0, 0]))
    RosbagRecording(make_bag(entries))
    assert "distortion on /cam/depth/camera_info is ignored" in caplog.text


def _refusal(path: Path, topics: BagTopics = BagTopics()) -> str:  # noqa: B008
    with pytest.raises(RecordingError) as caught:
        RosbagRecording(path, topics)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_no_depth_lists_the_topics(make_bag, messages, camera, frames) -> None:
    entries = [
        *messages.pose_entries(frames),
        ("/colour", IMAGE, 0, messages.image(0, np.zeros((6, 24), np.uint8), "rgb8")),
    ]
    message = _refusal(make_bag(entries))
    assert "has no depth images" in message
    assert "/colour (sensor_msgs/msg/Image, 1)" in message and "/cam/pose" in message
    assert "compressed" not in message


def test_only_compressed_depth_is_explained(make_bag, messages) -> None:
    image = messages.new(
        COMPRESSED_IMAGE, messages.header(0, "camera"), "16UC1; compressedDepth", np.zeros(3, np.uint8)
    )
    message = _refusal(make_bag([("/depth/compressedDepth", COMPRESSED_IMAGE, 0, image)]))
    assert "compressed images are not supported" in message


def test_topic_or_bag_without_messages(make_bag) -> None:
    message = _refusal(make_bag([("/depth/image", IMAGE, 0, None)]))
    assert "has no depth images" in message and "/depth/image (sensor_msgs/msg/Image, 0)" in message


def test_no_camera_info(make_bag, messages, camera, frames) -> None:
    entries = [*messages.depth_entries(camera, frames)[1:], *messages.pose_entries(frames)]
    assert f"has no {CAMERA_INFO} on /cam/depth/camera_info" in _refusal(make_bag(entries))


def test_camera_info_without_calibration(make_bag, messages, camera, frames) -> None:
    info = messages.camera_info(camera)
    info.k[:] = 0
    entries = messages.depth_entries(camera, frames)
    entries[0] = (*entries[0][:3], info)
    assert "camera on /cam/depth/camera_info is not usable" in _refusal(make_bag(entries))


def test_no_poses(make_bag, messages, camera, frames) -> None:
    assert "has no poses (PoseStamped, Odometry or TFMessage)" in _refusal(
        make_bag(messages.depth_entries(camera, frames))
    )


def test_no_transform_of_the_camera_lists_the_frames(make_bag, messages, camera, frames) -> None:
    tf = messages.tf(messages.transform(0, "odom", "body", np.eye(4)))
    message = _refusal(make_bag([*messages.depth_entries(camera, frames), ("/tf", TF_MESSAGE, 0, tf)]))
    assert "no transform leads from the camera's frame 'camera'; frames: body, odom" in message


def test_circle_of_transforms(make_bag, messages, camera, frames) -> None:
    tf = messages.tf(
        messages.transform(0, "body", "camera", np.eye(4)), messages.transform(0, "camera", "body", np.eye(4))
    )
    message = _refusal(make_bag([*messages.depth_entries(camera, frames), ("/tf", TF_MESSAGE, 0, tf)]))
    assert "circle" in message


@pytest.mark.parametrize(
    ("topics", "problem"),
    [
        (BagTopics(depth="/nothing"), "has no depth images on /nothing"),
        (BagTopics(camera_info="/nothing"), "has no sensor_msgs/msg/CameraInfo on /nothing"),
        (BagTopics(pose="/nothing"), "has no poses on /nothing"),
    ],
)
def test_wanted_topic_must_exist(make_bag: Callable, messages, camera, frames, topics: BagTopics, problem: str) -> None:
    path = make_bag([*messages.depth_entries(camera, frames), *messages.pose_entries(frames)])
    assert problem in _refusal(path, topics)


def test_missing_storage_file(make_bag, messages, camera, frames) -> None:
    path = make_bag([*messages.depth_entries(camera, frames), *messages.pose_entries(frames)])
    (path / "bag.mcap").unlink()
    assert "missing" in _refusal(path)
