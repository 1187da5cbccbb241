# SPDX-License-Identifier: Apache-2.0
"""geometry_msgs/PoseStamped and nav_msgs/Odometry to and from (4, 4) matrices."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, PoseStamped, Quaternion
from nav_msgs.msg import Odometry

from neuralfusion_ros.mapping.poses import Matrix, pose_matrix, position_and_quaternion
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import ns_to_stamp, stamp_to_ns


def decode_pose(message: PoseStamped) -> tuple[int, Matrix]:
    """(stamp_ns, T): the (4, 4) float64 pose of the named thing in the frame of the header.

    A quaternion that is slightly off unit length is made a unit one.
    Raises BadMessage: 'pose' (not finite), 'quaternion' (not of unit length) or 'stamp'.
    """
    return stamp_to_ns(message.header.stamp), _matrix(message.pose.position, message.pose.orientation)


def decode_odometry(message: Odometry) -> tuple[int, Matrix]:
    """(stamp_ns, T): the (4, 4) float64 pose of child_frame_id in the frame of the header. Raises as `decode_pose`."""
    return stamp_to_ns(message.header.stamp), _matrix(message.pose.pose.position, message.pose.pose.orientation)


def encode_pose(T: Matrix, stamp_ns: int, frame_id: str) -> PoseStamped:
    """A PoseStamped of the (4, 4) pose T in the frame frame_id."""
    message = PoseStamped()
    message.header.stamp = ns_to_stamp(stamp_ns)
    message.header.frame_id = frame_id
    message.pose.position, message.pose.orientation = _position_and_orientation(T)
    return message


def encode_odometry(T: Matrix, stamp_ns: int, frame_id: str, child_frame_id: str) -> Odometry:
    """An Odometry of the (4, 4) pose T of child_frame_id in the frame frame_id, without velocities."""
    message = Odometry(child_frame_id=child_frame_id)
    message.header.stamp = ns_to_stamp(stamp_ns)
    message.header.frame_id = frame_id
    message.pose.pose.position, message.pose.pose.orientation = _position_and_orientation(T)
    return message


def _matrix(position: Point, orientation: Quaternion) -> Matrix:
    translation = (position.x, position.y, position.z)
    quaternion = (orientation.x, orientation.y, orientation.z, orientation.w)
    if not np.isfinite((*translation, *quaternion)).all():
        raise BadMessage("pose", "The pose contains a number that is not finite.")
    try:
        return pose_matrix(translation, quaternion)
    except ValueError as error:
        raise BadMessage("quaternion", f"The orientation of the pose is not valid: {error}.") from None


def _position_and_orientation(T: Matrix) -> tuple[Point, Quaternion]:
    position, quaternion = position_and_quaternion(T)
    x, y, z = position.tolist()
    qx, qy, qz, qw = quaternion.tolist()
    return Point(x=x, y=y, z=z), Quaternion(x=qx, y=qy, z=qz, w=qw)
