# SPDX-License-Identifier: Apache-2.0
"""tf2_msgs/TFMessage from and to bytes. Bytes, because the message class exists only where tf2_msgs is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from neuralfusion_ros.mapping.poses import Matrix, pose_matrix, position_and_quaternion
from neuralfusion_ros.messages.cdr import CdrReader, CdrWriter
from neuralfusion_ros.messages.errors import BadMessage

# Two empty strings, a stamp, seven numbers: what a transform takes at least.
_LEAST_BYTES = 80


class Transform(NamedTuple):
    """Where the frame child was in the frame parent at a moment. numbers: position, then quaternion (x, y, z, w)."""

    parent: str
    child: str
    stamp_ns: int
    numbers: tuple[float, ...]

    def matrix(self) -> Matrix:
        """(4, 4) pose of the child in the parent. Raises BadMessage 'transform'."""
        try:
            return pose_matrix(self.numbers[:3], self.numbers[3:])
        except ValueError as error:
            text = f"The transform from '{self.child}' to '{self.parent}' is not valid: {error}."
            raise BadMessage("transform", text) from None


def decode_transforms(data: bytes) -> list[Transform]:
    """The transforms of a serialised TFMessage. Raises BadMessage: 'cdr', 'truncated' or 'stamp'."""
    reader = CdrReader(data)
    count = reader.uint32()
    if count * _LEAST_BYTES > len(data):
        raise BadMessage("truncated", f"The serialised message is too short for {count} transforms.")
    return [_read(reader) for _ in range(count)]


def encode_transforms(transforms: Sequence[tuple[str, str, int, Matrix]]) -> bytes:
    """A serialised TFMessage of (parent, child, stamp_ns, T_parent_child)."""
    writer = CdrWriter()
    writer.pack("I", len(transforms))
    for parent, child, stamp_ns, T_parent_child in transforms:
        writer.header(parent, stamp_ns)
        writer.string(child)
        position, quaternion = position_and_quaternion(T_parent_child)
        writer.pack("d" * 7, *position, *quaternion)
    return writer.finish()


def _read(reader: CdrReader) -> Transform:
    parent, stamp_ns = reader.header()
    child = reader.string()
    return Transform(parent, child, stamp_ns, reader.doubles(7))
