# SPDX-License-Identifier: Apache-2.0
"""CDR, the byte format of ROS 2 messages, written and read with numpy.

rclpy publishes ready bytes as they are. Writing them here avoids one Python object per point or colour, which makes
large messages about a hundred times faster. Only plain little-endian CDR (XCDR1) is covered: a header of 4 bytes,
then the fields, each aligned to its own size counted from the end of that header.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import join_ns, split_ns

ENCAPSULATION = b"\x00\x01\x00\x00"
PADDING = b"\x00"


class CdrWriter:
    """Appends fields in the order of the message definition; `finish` gives the bytes of the message."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = [ENCAPSULATION]
        self._size = 0

    def finish(self) -> bytes:
        """The whole message."""
        return b"".join(self._parts)

    def body(self) -> bytes:
        """The fields without the encapsulation, to be put into another message with `raw`."""
        return b"".join(self._parts[1:])

    def raw(self, data: bytes, alignment: int = 1) -> None:
        """Bytes that are already in CDR order."""
        self._align(alignment)
        self._parts.append(data)
        self._size += len(data)

    def pack(self, formats: str, *values: float | bool) -> None:
        """Numbers, each aligned to its size. formats: one `struct` letter per value (? B i I f d)."""
        for letter, value in zip(formats, values, strict=True):
            data = struct.pack("<" + letter, value)
            self.raw(data, len(data))

    def string(self, text: str) -> None:
        """A string: length with the final zero, bytes, zero."""
        data = text.encode() + b"\x00"
        self.pack("I", len(data))
        self.raw(data)

    def header(self, frame_id: str, stamp_ns: int) -> None:
        """A std_msgs/Header."""
        self.pack("iI", *split_ns(stamp_ns))
        self.string(frame_id)

    def sequence(self, rows: npt.NDArray[np.generic]) -> None:
        """A sequence of N numbers (N,), or of N structs made of k equal numbers (N, k), as one block of bytes."""
        self.pack("I", len(rows))
        if len(rows):
            self._align(rows.itemsize)
            little = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
            self._parts.append(little.reshape(-1).view(np.uint8).data)
            self._size += little.nbytes

    def _align(self, alignment: int) -> None:
        gap = -self._size % alignment
        if gap:
            self._parts.append(PADDING * gap)
            self._size += gap


class CdrReader:
    """Takes fields from the bytes of a message, in the order of the message definition.

    Raises BadMessage: 'cdr' when the bytes are not plain little-endian CDR, 'truncated' when they end too early.
    """

    def __init__(self, data: bytes) -> None:
        # The last two bytes of the encapsulation are options, in which some DDS write their padding at the end.
        if bytes(data[:2]) != ENCAPSULATION[:2] or len(data) < len(ENCAPSULATION):
            raise BadMessage("cdr", "The data does not begin like a message in plain little-endian CDR.")
        self._body = memoryview(data)[len(ENCAPSULATION) :]
        self._at = 0

    def raw(self, size: int, alignment: int = 1) -> memoryview:
        """The next `size` bytes, without a copy."""
        start = self._at + -self._at % alignment
        if start + size > len(self._body):
            missing = start + size - len(self._body)
            raise BadMessage("truncated", f"The serialised message ends {missing} bytes too early.")
        self._at = start + size
        return self._body[start : self._at]

    def uint8(self) -> int:
        """The next uint8 or bool."""
        return self.raw(1)[0]

    def int32(self) -> int:
        """The next int32."""
        return int.from_bytes(self.raw(4, 4), "little", signed=True)

    def uint32(self) -> int:
        """The next uint32."""
        return int.from_bytes(self.raw(4, 4), "little")

    def doubles(self, count: int) -> tuple[float, ...]:
        """The next `count` float64."""
        return struct.unpack(f"<{count}d", self.raw(8 * count, 8))

    def string(self) -> str:
        """The next string."""
        data = bytes(self.raw(self.uint32()))
        try:
            return data.removesuffix(b"\x00").decode()
        except UnicodeDecodeError:
            raise BadMessage("cdr", "A string of the serialised message is not UTF-8.") from None

    def header(self) -> tuple[str, int]:
        """The next std_msgs/Header: (frame_id, stamp_ns)."""
        stamp_ns = join_ns(self.int32(), self.uint32())
        return self.string(), stamp_ns

    def sequence(self, dtype: npt.DTypeLike, columns: int = 1) -> npt.NDArray[np.generic]:
        """The next sequence of N structs of `columns` numbers each: (N, columns), a read-only view of the message."""
        number = np.dtype(dtype).newbyteorder("<")
        rows = self.uint32()
        # Nothing is aligned when there is nothing to align.
        data = self.raw(rows * columns * number.itemsize, number.itemsize if rows else 1)
        return np.frombuffer(data, dtype=number).reshape(rows, columns)
