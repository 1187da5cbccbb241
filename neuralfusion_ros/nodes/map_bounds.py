# SPDX-License-Identifier: Apache-2.0
"""The parameter that says which part of the world is mapped."""

from __future__ import annotations

from neuralfusion_ros.mapping.settings import Bounds
from neuralfusion_ros.nodes.ros_parameter import ParameterError

_NUMBERS = ("x_min", "y_min", "z_min", "x_max", "y_max", "z_max")


def read_bounds(text: str) -> Bounds | None:
    """'x_min y_min z_min x_max y_max z_max' in metres as a box; None for an empty text.

    Raises ParameterError when it is not six numbers. Whether they make a box is for MapSettings to say.
    """
    words = text.replace(",", " ").split()
    if not words:
        return None
    try:
        x_min, y_min, z_min, x_max, y_max, z_max = (float(word) for word in words)
    except ValueError:
        raise ParameterError(f"map_bounds '{text}' is not '{' '.join(_NUMBERS)}' in metres") from None
    return (x_min, y_min, z_min), (x_max, y_max, z_max)
