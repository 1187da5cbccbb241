# SPDX-License-Identifier: Apache-2.0
"""Small recordings of every kind."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from scipy.spatial.transform import Rotation

from neuralfusion_ros.datasets.bag_reader import CAMERA_INFO, IMAGE, ODOMETRY, POSE_STAMPED, TF_MESSAGE, TYPES
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.datasets.sequence_folder import write_sequence_folder
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import position_and_quaternion

START_NS = 1_700_000_000_123_456_789
STEP_NS = 100_000_000

# topic, type, stamp, message
Entry = tuple[str, str, int, Any]


@pytest.fixture
def camera() -> PinholeCamera:
    return PinholeCamera(8, 6, 7.5, 7.25, 3.5, 2.25)


@pytest.fixture
def frames() -> list[Frame]:
    """Five frames, 0.1 s apart, with whole millimetres."""
    random = np.random.default_rng(0)
    result = []
    for index in range(5):
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec([0.1 * index, -0.2, 0.05 * index]).as_matrix()
        T[:3, 3] = [0.1 * index, 1 / 3, -0.7]
        depth_mm = random.integers(0, 65536, (6, 8))
        result.append(Frame(START_NS + index * STEP_NS, depth_mm.astype(np.float32) / np.float32(1000), T))
    return result


@pytest.fixture
def sequence(tmp_path: Path, camera: PinholeCamera, frames: list[Frame]) -> Path:
    write_sequence_folder(tmp_path / "sequence", camera, frames)
    return tmp_path / "sequence"


class Messages:
    """Messages for bags, made from numpy."""

    def new(self, msgtype: str, *fields: Any) -> Any:
        return TYPES.types[msgtype](*fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        time = self.new("builtin_interfaces/msg/Time", *divmod(stamp_ns, 10**9))
        return self.new("std_msgs/msg/Header", time, frame_id)

    def image(self, stamp_ns: int, pixels: np.ndarray, encoding: str = "16UC1", frame_id: str = "camera") -> Any:
        """Pixels of any byte order."""
        height, width = pixels.shape
        data = np.frombuffer(pixels.tobytes(), np.uint8)
        header = self.header(stamp_ns, frame_id)
        bigendian = int(pixels.dtype.byteorder == ">")
        return self.new(IMAGE, header, height, width, encoding, bigendian, width * pixels.itemsize, data)

    def camera_info(self, camera: PinholeCamera, distortion: Iterable[float] = ()) -> Any:
        K = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1])
        region = self.new("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        d, header = np.array(list(distortion), np.float64), self.header(0, "camera")
        size = (camera.height, camera.width)
        return self.new(CAMERA_INFO, header, *size, "plumb_bob", d, K, np.eye(3).ravel(), np.zeros(12), 0, 0, region)

    def _parts(self, T: np.ndarray, position_type: str) -> tuple[Any, Any]:
        position, quaternion = position_and_quaternion(T)
        return self.new(position_type, *position.tolist()), self.new(
            "geometry_msgs/msg/Quaternion", *quaternion.tolist()
        )

    def pose(self, T: np.ndarray) -> Any:
        return self.new("geometry_msgs/msg/Pose", *self._parts(T, "geometry_msgs/msg/Point"))

    def pose_stamped(self, stamp_ns: int, T: np.ndarray) -> Any:
        return self.new(POSE_STAMPED, self.header(stamp_ns, "map"), self.pose(T))

    def odometry(self, stamp_ns: int, T: np.ndarray, child: str) -> Any:
        zero = self.new("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0)
        twist = self.new(
            "geometry_msgs/msg/TwistWithCovariance", self.new("geometry_msgs/msg/Twist", zero, zero), np.zeros(36)
        )
        pose = self.new("geometry_msgs/msg/PoseWithCovariance", self.pose(T), np.zeros(36))
        return self.new(ODOMETRY, self.header(stamp_ns, "odom"), child, pose, twist)

    def transform(self, stamp_ns: int, parent: str, child: str, T: np.ndarray) -> Any:
        motion = self.new("geometry_msgs/msg/Transform", *self._parts(T, "geometry_msgs/msg/Vector3"))
        return self.new("geometry_msgs/msg/TransformStamped", self.header(stamp_ns, parent), child, motion)

    def tf(self, *transforms: Any) -> Any:
        return self.new(TF_MESSAGE, list(transforms))

    def depth_entries(self, camera: PinholeCamera, frames: Iterable[Frame]) -> list[Entry]:
        """Images of the frames and one camera info, without poses."""
        entries: list[Entry] = [("/cam/depth/camera_info", CAMERA_INFO, START_NS, self.camera_info(camera))]
        for frame in frames:
            pixels = np.rint(frame.depth_m * 1000).astype("<u2")
            entries.append(("/cam/depth/image_raw", IMAGE, frame.stamp_ns, self.image(frame.stamp_ns, pixels)))
        return entries

    def pose_entries(self, frames: Iterable[Frame], topic: str = "/cam/pose") -> list[Entry]:
        """One PoseStamped per frame."""
        return [
            (topic, POSE_STAMPED, frame.stamp_ns, self.pose_stamped(frame.stamp_ns, frame.T_world_camera))
            for frame in frames
        ]


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def make_bag(tmp_path: Path) -> Callable[..., Path]:
    """make_bag(entries, storage=MCAP): a bag folder. An entry without a message only makes the topic known."""

    def make(entries: Iterable[Entry], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
        path = tmp_path / "bag"
        with Writer(path, version=9, storage_plugin=storage) as writer:
            connections: dict[str, Any] = {}
            for topic, msgtype, stamp_ns, message in entries:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, msgtype, typestore=TYPES)
                if message is not None:
                    data = message if isinstance(message, bytes) else TYPES.serialize_cdr(message, msgtype)
                    writer.write(connections[topic], stamp_ns, data)
        return path

    return make


@pytest.fixture
def assert_same_frames() -> Callable[[Iterable[Frame], Iterable[Frame]], None]:
    """Equal stamps and depth, poses to 1e-9."""

    def check(read: Iterable[Frame], written: Iterable[Frame]) -> None:
        for got, want in zip(read, written, strict=True):
            assert got.stamp_ns == want.stamp_ns
            np.testing.assert_array_equal(got.depth_m, want.depth_m)
            np.testing.assert_allclose(got.T_world_camera, want.T_world_camera, rtol=0, atol=1e-9)

    return check
