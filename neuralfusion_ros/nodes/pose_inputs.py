# SPDX-License-Identifier: Apache-2.0
"""The topics on which poses come, and the pose source that every camera gets from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile

from neuralfusion_ros.mapping.transforms import frame_name
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.poses import decode_odometry, decode_pose
from neuralfusion_ros.messages.tf_type import NoTfType, tf_message_type
from neuralfusion_ros.nodes.camera_input import topic_of
from neuralfusion_ros.nodes.inputs import Topic
from neuralfusion_ros.nodes.mounting import FROM_TF, read_mounting
from neuralfusion_ros.nodes.parameters import FusionParameters
from neuralfusion_ros.nodes.pose_source import (
    JUMP_BACK_NS,
    MountedPoses,
    PoseSource,
    TfMountedPoses,
    TfPoses,
    TopicPoses,
)
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.ros_parameter import ParameterError
from neuralfusion_ros.nodes.transform_listener import TF, TF_STATIC, TransformListener, tf_qos


class PoseInputs:
    """topics: what to subscribe to. sources: for every camera, by its name.

    mountings: the parameter `camera_mounting` of every camera. qos: of the topics of poses. wake: called when a pose
    has come. Raises ParameterError when the parameters do not go together.
    """

    def __init__(
        self,
        parameters: FusionParameters,
        mountings: Mapping[str, str],
        qos: QoSProfile,
        rejections: Rejections,
        wake: Callable[[], None],
    ) -> None:
        self._options, self._qos, self._rejections, self._wake = parameters, qos, rejections, wake
        self.topics: list[Topic] = []
        self._transforms: TransformListener | None = None
        make = {"pose": self._from_poses, "odom": self._from_odometry, "tf": self._from_tf}[parameters.pose_source]
        self.sources: dict[str, PoseSource] = make(mountings)

    def _from_poses(self, mountings: Mapping[str, str]) -> dict[str, PoseSource]:
        return {name: self._of_pose_topic(name, text) for name, text in mountings.items()}

    def _of_pose_topic(self, camera: str, mounting: str) -> PoseSource:
        if mounting.strip() == FROM_TF:
            text = "poses do not say of which frame they are; use pose_source 'odom' or 'tf'"
            raise ParameterError(f"camera_mounting 'tf' does not go with pose_source 'pose': {text}")
        poses = self._topic_poses()
        self.topics.append(
            Topic(PoseStamped, topic_of(camera, "pose"), lambda pose: self._on_pose(poses, pose), self._qos)
        )
        return self._mounted(camera, poses, mounting)

    def _from_odometry(self, mountings: Mapping[str, str]) -> dict[str, PoseSource]:
        poses = self._topic_poses()
        self.topics.append(Topic(Odometry, "odom", partial(self._on_odometry, poses), self._qos))
        return {name: self._mounted(name, poses, text) for name, text in mountings.items()}

    def _from_tf(self, mountings: Mapping[str, str]) -> dict[str, PoseSource]:
        if any(text.strip() for text in mountings.values()):
            raise ParameterError("camera_mounting does not go with pose_source 'tf', which knows where the camera is")
        source = TfPoses(self._listener(), self._options.global_frame)
        return dict.fromkeys(mountings, source)

    def _topic_poses(self) -> TopicPoses:
        return TopicPoses(self._options.pose_buffer_s, self._options.max_pose_gap_s)

    def _mounted(self, camera: str, poses: TopicPoses, mounting: str) -> PoseSource:
        if mounting.strip() == FROM_TF:
            return TfMountedPoses(poses, self._listener())
        T_body_camera = read_mounting(mounting, f"{camera}.camera_mounting".removeprefix("."))
        return poses if T_body_camera is None else MountedPoses(poses, T_body_camera)

    def _listener(self) -> TransformListener:
        """The one listener to /tf, made when it is first wanted."""
        if self._transforms is None:
            options = self._options
            listener = TransformListener(
                options.pose_buffer_s, options.max_pose_gap_s, JUMP_BACK_NS, self._rejections, self._wake
            )
            try:
                kind = tf_message_type()
            except NoTfType as error:
                raise ParameterError(f"{error}; use pose_source 'pose' or 'odom' without 'tf'") from error
            self.topics.append(Topic(kind, TF, listener.on_tf, tf_qos(is_static=False), raw=True))
            self.topics.append(Topic(kind, TF_STATIC, listener.on_tf_static, tf_qos(is_static=True), raw=True))
            self._transforms = listener
        return self._transforms

    def _on_pose(self, poses: TopicPoses, message: PoseStamped) -> None:
        with self._rejections.gate():
            self._check_frame(message.header.frame_id)
            poses.add(*decode_pose(message))
            self._wake()

    def _on_odometry(self, poses: TopicPoses, message: Odometry) -> None:
        with self._rejections.gate():
            self._check_frame(message.header.frame_id)
            poses.add(*decode_odometry(message), message.child_frame_id)
            self._wake()

    def _check_frame(self, frame_id: str) -> None:
        """Raises BadMessage for poses in another frame than the map's. Those without a name are taken as they are."""
        named, wanted = frame_name(frame_id), self._options.global_frame
        if named not in ("", frame_name(wanted)):
            text = f"The poses are in the frame '{named}' but the map is in '{wanted}'; set global_frame to '{named}'."
            raise BadMessage("pose_frame", text)
