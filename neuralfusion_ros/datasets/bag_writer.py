# SPDX-License-Identifier: Apache-2.0
"""Writing frames as a rosbag2 recording (mcap) without ROS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from neuralfusion_ros.datasets.bag_reader import CAMERA_INFO, IMAGE, POSE_STAMPED, TF_MESSAGE, TYPES
from neuralfusion_ros.datasets.depth_png import to_millimetres
from neuralfusion_ros.datasets.new_folder import new_folder
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import Matrix, position_and_quaternion

WORLD_FRAME = "odom"
CAMERA_FRAME = "camera_depth_optical_frame"
_TOPICS = {"/depth/image": IMAGE, "/depth/camera_info": CAMERA_INFO, "/pose": POSE_STAMPED, "/tf": TF_MESSAGE}


def write_bag(
    path: Path, camera: PinholeCamera, frames: Iterable[Frame], extra_poses: Iterable[tuple[int, Matrix]] = ()
) -> int:
    """Write frames to a new bag folder. Returns how many frames were written.

    Topics: /depth/image (16UC1), /depth/camera_info, /pose (PoseStamped in WORLD_FRAME) and /tf (WORLD_FRAME to
    CAMERA_FRAME). Depth is rounded to millimetres.
    extra_poses: (stamp_ns, T_world_camera) at other moments than the frames'.
    Raises RecordingError when the folder exists, cannot be written or would be empty.
    """
    count = 0
    waiting = sorted(extra_poses, key=lambda pose: pose[0], reverse=True)
    try:
        with new_folder(path) as folder, Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            bag = _BagWriter(writer, camera)
            for frame in frames:
                while waiting and waiting[-1][0] < frame.stamp_ns:
                    bag.write_pose(*waiting.pop())
                bag.write_frame(frame)
                count += 1
            while waiting:
                bag.write_pose(*waiting.pop())
            if not count:
                raise RecordingError(f"{path} is not written: there are no frames")
    except WriterError as error:
        raise RecordingError(f"{path} cannot be written: {error}") from error
    return count


class _BagWriter:
    def __init__(self, writer: Writer, camera: PinholeCamera) -> None:
        self._writer = writer
        self._camera = camera
        self._connections = {
            topic: writer.add_connection(topic, msgtype, typestore=TYPES) for topic, msgtype in _TOPICS.items()
        }

    def write_frame(self, frame: Frame) -> None:
        self.write_pose(frame.stamp_ns, frame.T_world_camera)
        self._write("/depth/camera_info", frame.stamp_ns, _camera_info(self._camera, frame.stamp_ns))
        self._write("/depth/image", frame.stamp_ns, _image(frame))

    def write_pose(self, stamp_ns: int, T_world_camera: Matrix) -> None:
        position, quaternion = position_and_quaternion(T_world_camera)
        rotation = _new("geometry_msgs/msg/Quaternion", *quaternion.tolist())
        pose = _new("geometry_msgs/msg/Pose", _new("geometry_msgs/msg/Point", *position.tolist()), rotation)
        self._write("/pose", stamp_ns, _new(POSE_STAMPED, _header(stamp_ns, WORLD_FRAME), pose))
        motion = _new("geometry_msgs/msg/Transform", _new("geometry_msgs/msg/Vector3", *position.tolist()), rotation)
        transform = _new("geometry_msgs/msg/TransformStamped", _header(stamp_ns, WORLD_FRAME), CAMERA_FRAME, motion)
        self._write("/tf", stamp_ns, _new(TF_MESSAGE, [transform]))

    def _write(self, topic: str, stamp_ns: int, message: Any) -> None:
        self._writer.write(self._connections[topic], stamp_ns, TYPES.serialize_cdr(message, _TOPICS[topic]))


def _new(msgtype: str, *fields: Any) -> Any:
    return TYPES.types[msgtype](*fields)


def _header(stamp_ns: int, frame_id: str) -> Any:
    return _new("std_msgs/msg/Header", _new("builtin_interfaces/msg/Time", *divmod(stamp_ns, 10**9)), frame_id)


def _image(frame: Frame) -> Any:
    depth_mm = to_millimetres(frame.depth_m).astype("<u2")
    height, width = depth_mm.shape
    data = depth_mm.reshape(-1).view(np.uint8)
    return _new(IMAGE, _header(frame.stamp_ns, CAMERA_FRAME), height, width, "16UC1", 0, 2 * width, data)


def _camera_info(camera: PinholeCamera, stamp_ns: int) -> Any:
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)
    P = np.hstack((K, np.zeros((3, 1))))
    whole_image = _new("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
    return _new(
        CAMERA_INFO, _header(stamp_ns, CAMERA_FRAME), camera.height, camera.width,
        "plumb_bob", np.zeros(5), K.reshape(-1), np.eye(3).reshape(-1), P.reshape(-1), 0, 0, whole_image,
    )  # fmt: skip
