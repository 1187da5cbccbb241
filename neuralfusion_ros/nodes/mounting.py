# SPDX-License-Identifier: Apache-2.0
"""The parameter that says where a camera sits on the body whose poses are known."""

from __future__ import annotations

from neuralfusion_ros.mapping.poses import Matrix, pose_matrix
from neuralfusion_ros.nodes.ros_parameter import ParameterError

FROM_TF = "tf"
_NUMBERS = ("x", "y", "z", "qx", "qy", "qz", "qw")


def read_mounting(text: str, name: str = "camera_mounting") -> Matrix | None:
    """'x y z qx qy qz qw' as the (4, 4) pose of the optical frame in the body's frame; None for an empty text.

    name: of the parameter, for the message. Raises ParameterError when it is no such pose.
    """
    words = text.replace(",", " ").split()
    if not words:
        return None
    try:
        numbers = [float(word) for word in words]
        if len(numbers) != len(_NUMBERS):
            raise ValueError(f"it has {len(numbers)} numbers")
        return pose_matrix(numbers[:3], numbers[3:])
    except ValueError as error:
        wanted = f"'{' '.join(_NUMBERS)}' in metres with a unit quaternion"
        raise ParameterError(f"{name} '{text}' is not {wanted}: {error}") from None
