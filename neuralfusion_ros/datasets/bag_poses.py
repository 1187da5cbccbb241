# SPDX-License-Identifier: Apache-2.0
"""Where the camera of a bag was: from PoseStamped, Odometry or transforms, whichever the bag has first."""

from __future__ import annotations

import logging
from typing import Any

from neuralfusion_ros.datasets.bag_reader import ODOMETRY, POSE_STAMPED, TF_MESSAGE, BagReader, stamp_ns
from neuralfusion_ros.datasets.bag_transforms import PoseAt, TransformTree
from neuralfusion_ros.datasets.recording import RecordingError
from neuralfusion_ros.mapping.poses import PoseTrack, pose_matrix
from neuralfusion_ros.mapping.transforms import frame_name

_log = logging.getLogger(__name__)


def camera_poses(bag: BagReader, camera_frame: str, pose_topic: str | None, max_gap_ns: int) -> tuple[str, PoseAt]:
    """The topic that tells the camera's pose in the world, and the pose over time.

    PoseStamped is the pose of the camera's optical frame. Odometry is the pose of its child frame; the transforms give
    the camera's place on it, and without them it is taken for the camera's. Transforms lead from the camera's frame to
    the root of the tree.
    pose_topic: the topic to use, else the one with most messages of the first kind found.
    Raises RecordingError when there are no usable poses.
    """
    topic, msgtype = _choose(bag, pose_topic)
    if msgtype == TF_MESSAGE:
        return topic, _transform_poses(bag, camera_frame, max_gap_ns)
    track = _read_track(bag, topic)
    if msgtype == ODOMETRY:
        return topic, _odometry_poses(bag, topic, track, camera_frame, max_gap_ns)
    return topic, lambda time_ns: track.at(time_ns, max_gap_ns)


def _choose(bag: BagReader, wanted: str | None) -> tuple[str, str]:
    for msgtype in (POSE_STAMPED, ODOMETRY, TF_MESSAGE):
        counts = bag.topics(msgtype)
        if wanted in counts:
            return wanted, msgtype
        # A navigation goal is a PoseStamped too, but not the pose of a camera.
        candidates = [topic for topic in counts if "goal" not in topic]
        if wanted is None and candidates:
            return max(candidates, key=lambda topic: counts[topic]), msgtype
    looked_for = f"poses on {wanted}" if wanted else "poses (PoseStamped, Odometry or TFMessage)"
    raise RecordingError(f"{bag.path} has no {looked_for}; its topics: {bag.summary()}")


def _read_track(bag: BagReader, topic: str) -> PoseTrack:
    track = PoseTrack()
    left_out = 0
    for _, message in bag.messages(topic):
        try:
            track.add(stamp_ns(message.header.stamp), _matrix(message.pose))
        except (AttributeError, ValueError):
            left_out += 1
    if not len(track):
        raise RecordingError(f"{bag.path}: none of the {left_out} poses on {topic} is usable")
    if left_out:
        _log.warning("%s: %d unusable poses on %s are left out", bag.path, left_out, topic)
    return track


def _matrix(pose: Any) -> Any:
    """(4, 4) of a Pose or PoseWithCovariance."""
    pose = getattr(pose, "pose", pose)
    p, q = pose.position, pose.orientation
    return pose_matrix((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))


def _odometry_poses(bag: BagReader, topic: str, track: PoseTrack, camera_frame: str, max_gap_ns: int) -> PoseAt:
    body_frame = frame_name(bag.first(topic).child_frame_id)
    tree = TransformTree(bag)
    mounting = tree.chain(camera_frame, root=body_frame)
    if not mounting:
        if body_frame != camera_frame:
            _log.warning(
                "%s: no transform from '%s' to '%s', so the poses on %s are taken for the camera's",
                bag.path, camera_frame, body_frame, topic,
            )  # fmt: skip
        return lambda time_ns: track.at(time_ns, max_gap_ns)
    T_body_camera = tree.poses(mounting, max_gap_ns)
    return lambda time_ns: track.at(time_ns, max_gap_ns) @ T_body_camera(time_ns)


def _transform_poses(bag: BagReader, camera_frame: str, max_gap_ns: int) -> PoseAt:
    tree = TransformTree(bag)
    chain = tree.chain(camera_frame)
    if not chain:
        message = f"no transform leads from the camera's frame '{camera_frame}'; frames: {tree.frames()}"
        raise RecordingError(f"{bag.path}: {message}")
    return tree.poses(chain, max_gap_ns)
