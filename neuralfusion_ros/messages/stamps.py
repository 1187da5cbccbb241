# SPDX-License-Identifier: Apache-2.0
"""builtin_interfaces/Time to and from nanoseconds."""

from __future__ import annotations

from builtin_interfaces.msg import Time

from neuralfusion_ros.messages.errors import BadMessage

NS_PER_S = 1_000_000_000


def join_ns(sec: int, nanosec: int) -> int:
    """Seconds and nanoseconds of a ROS time to nanoseconds. Raises BadMessage 'stamp' for nanosec >= 1e9."""
    if not 0 <= nanosec < NS_PER_S:
        raise BadMessage("stamp", f"The time stamp has {nanosec} nanoseconds, which is not below one second.")
    return sec * NS_PER_S + nanosec


def split_ns(stamp_ns: int) -> tuple[int, int]:
    """Nanoseconds to the (sec, nanosec) of a ROS time. Raises ValueError when the seconds do not fit into int32."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    if not -(2**31) <= sec < 2**31:
        raise ValueError(f"time stamp {stamp_ns} ns does not fit into a ROS time")
    return sec, nanosec


def stamp_to_ns(stamp: Time) -> int:
    """A Time message to nanoseconds. Raises BadMessage 'stamp'."""
    return join_ns(stamp.sec, stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """Nanoseconds to a Time message."""
    sec, nanosec = split_ns(stamp_ns)
    return Time(sec=sec, nanosec=nanosec)
