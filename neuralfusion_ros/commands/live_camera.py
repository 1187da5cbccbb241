# SPDX-License-Identifier: Apache-2.0
"""A recording as ready messages, so that publishing an image takes a copy and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from neuralfusion_ros.datasets.bag_writer import CAMERA_FRAME
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.messages.camera_info import encode_camera
from neuralfusion_ros.messages.cdr import ENCAPSULATION
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.poses import encode_pose
from neuralfusion_ros.messages.stamps import split_ns
from neuralfusion_ros.nodes.qos import reliable

_STAMP = struct.Struct("<iI")
_STAMP_AT = len(ENCAPSULATION)
_AFTER_STAMP = _STAMP_AT + _STAMP.size


class LiveCamera:
    """Publishes depth images with their pose and camera info, with any stamp. global_frame: of the poses."""

    def __init__(self, frames: Iterable[Frame], camera: PinholeCamera, global_frame: str) -> None:
        self._info = serialize_message(encode_camera(camera, 0, CAMERA_FRAME))
        self._frames = [
            (
                serialize_message(encode_pose(frame.T_world_camera, 0, global_frame)),
                serialize_message(encode_depth(frame.depth_m, 0, CAMERA_FRAME)),
            )
            for frame in frames
        ]

    def __len__(self) -> int:
        return len(self._frames)

    def join(self, node: Node) -> None:
        """Makes the publishers."""
        self._image = node.create_publisher(Image, "depth/image", reliable(10))
        self._info_topic = node.create_publisher(CameraInfo, "depth/camera_info", reliable(50))
        self._pose = node.create_publisher(PoseStamped, "pose", reliable(50))

    def is_heard(self) -> bool:
        """Somebody subscribes to everything."""
        return all(topic.get_subscription_count() for topic in (self._image, self._info_topic, self._pose))

    def publish(self, number: int, stamp_ns: int) -> None:
        """Sends a frame; after the last one comes the first one again."""
        pose, image = self._frames[number % len(self._frames)]
        self._pose.publish(stamped(pose, stamp_ns))
        self._info_topic.publish(stamped(self._info, stamp_ns))
        self._image.publish(stamped(image, stamp_ns))


def stamped(data: bytes, stamp_ns: int) -> bytes:
    """A serialised message that begins with a header, with another stamp."""
    return b"".join((data[:_STAMP_AT], _STAMP.pack(*split_ns(stamp_ns)), memoryview(data)[_AFTER_STAMP:]))
