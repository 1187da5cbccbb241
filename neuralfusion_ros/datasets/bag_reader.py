# SPDX-License-Identifier: Apache-2.0
"""Reading messages from a rosbag2 recording without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from neuralfusion_ros.datasets.recording import RecordingError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"
ODOMETRY = "nav_msgs/msg/Odometry"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"

# One store serves bags of every distribution, and bags without definitions: the types above have had the same fields
# in all of ROS 2 (a test compares them).
TYPES = get_typestore(Stores.ROS2_KILTED)


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


class BagReader:
    """An open rosbag2 folder, .mcap or .db3 file. Use it in a `with` statement.

    Raises RecordingError when the bag cannot be read, also in the middle of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _readable(path):
            self._reader = Reader(path)

    def __enter__(self) -> BagReader:
        with _readable(self.path):
            self._reader.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def topics(self, msgtype: str) -> dict[str, int]:
        """The topics of a type that have messages: name -> number of messages, sorted by name."""
        infos = sorted(self._reader.topics.items())
        return {name: info.msgcount for name, info in infos if info.msgtype == msgtype and info.msgcount > 0}

    def summary(self) -> str:
        """All topics in one line, for error messages."""
        infos = sorted(self._reader.topics.items())
        return ", ".join(f"{name} ({info.msgtype}, {info.msgcount})" for name, info in infos) or "none"

    def messages(self, *topics: str) -> Iterator[tuple[str, Any]]:
        """(topic, message) of the named topics in order of recording; None for a message that cannot be decoded."""
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:
            return
        stream = self._reader.messages(connections)
        while True:
            with _readable(self.path):
                item = next(stream, None)
            if item is None:
                return
            connection, _, data = item
            yield connection.topic, _decoded(data, connection.msgtype)

    def first(self, topic: str) -> Any:
        """The first message of a topic that can be decoded, or None."""
        return next((message for _, message in self.messages(topic) if message is not None), None)


def _decoded(data: bytes, msgtype: str) -> Any:
    try:
        return TYPES.deserialize_cdr(data, msgtype)
    except SerdeError:
        return None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise RecordingError(f"{path} is missing, or a file of it") from error
    # The library meets arbitrary bytes here and fails on them in as many ways as there are parsers in it.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"{path} cannot be read as a rosbag2 recording: {reason[:200]}") from error
