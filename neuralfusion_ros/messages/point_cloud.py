# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 to and from numpy structured arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2

from neuralfusion_ros.messages.cdr import CdrReader, CdrWriter
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import stamp_to_ns

# The numbers are those of sensor_msgs/PointField.
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_DATATYPES = {np.dtype(name): number for number, name in _TYPES.items()}


class _Field(NamedTuple):
    name: str
    offset: int
    datatype: int
    elements: int


class _Cloud(NamedTuple):
    """The fields of a PointCloud2, wherever they came from."""

    frame_id: str
    stamp_ns: int
    height: int
    width: int
    fields: list[_Field]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: npt.NDArray[np.uint8]


def point_cloud_bytes(frame_id: str, stamp_ns: int, points: npt.NDArray[np.void]) -> bytes:
    """A serialised PointCloud2 of one row, little endian, without padding between the fields.

    points: (N,) structured array of integers up to 32 bits, float32 and float64; a field that is itself an array is
    sent with its length as `count`. All coordinates must be finite. Raises ValueError for another kind of field.
    """
    dtype = _packed_dtype(points.dtype)
    writer = CdrWriter()
    writer.header(frame_id, stamp_ns)
    writer.pack("II", 1, len(points))
    _write_fields(writer, dtype)
    writer.pack("?II", False, dtype.itemsize, dtype.itemsize * len(points))
    writer.sequence(np.ascontiguousarray(points, dtype=dtype).view(np.uint8))
    writer.pack("?", True)  # is_dense
    return writer.finish()


def read_point_cloud(message: PointCloud2 | bytes) -> tuple[str, int, npt.NDArray[np.void]]:
    """(frame_id, stamp_ns, points) of a PointCloud2 message or of its serialised bytes.

    points: (height * width,) structured array in the byte order of the message; a view of its data where possible.
    Raises BadMessage: 'fields', 'size', 'truncated', 'stamp' or 'cdr'.
    """
    serialised = isinstance(message, bytes | bytearray | memoryview)
    cloud = _from_bytes(message) if serialised else _from_message(message)
    return cloud.frame_id, cloud.stamp_ns, _points_of(cloud)


def _packed_dtype(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """The same fields in little endian, one directly after the other."""
    if not dtype.names:
        raise ValueError("the points need named fields")
    parts = [(name, dtype[name].base.newbyteorder("<"), dtype[name].shape) for name in dtype.names]
    return np.dtype(parts)


def _write_fields(writer: CdrWriter, dtype: np.dtype[np.void]) -> None:
    assert dtype.fields is not None and dtype.names is not None
    writer.pack("I", len(dtype.names))
    for name in dtype.names:
        kind, offset = dtype.fields[name][:2]
        if kind.base not in _DATATYPES:
            raise ValueError(f"a PointCloud2 cannot hold field '{name}' of type {kind.base}")
        writer.string(name)
        writer.pack("IBI", offset, _DATATYPES[kind.base], kind.itemsize // kind.base.itemsize)


def _from_message(message: PointCloud2) -> _Cloud:
    return _Cloud(
        message.header.frame_id,
        stamp_to_ns(message.header.stamp),
        message.height,
        message.width,
        [_Field(field.name, field.offset, field.datatype, field.count) for field in message.fields],
        bool(message.is_bigendian),
        message.point_step,
        message.row_step,
        np.frombuffer(message.data, dtype=np.uint8),
    )


def _from_bytes(data: bytes) -> _Cloud:
    reader = CdrReader(data)
    frame_id, stamp_ns = reader.header()
    height, width = reader.uint32(), reader.uint32()
    fields = [_read_field(reader) for _ in range(reader.uint32())]
    is_bigendian, point_step, row_step = bool(reader.uint8()), reader.uint32(), reader.uint32()
    content = np.frombuffer(reader.raw(reader.uint32()), dtype=np.uint8)
    reader.uint8()  # is_dense
    return _Cloud(frame_id, stamp_ns, height, width, fields, is_bigendian, point_step, row_step, content)


def _read_field(reader: CdrReader) -> _Field:
    return _Field(reader.string(), reader.uint32(), reader.uint8(), reader.uint32())


def _points_of(cloud: _Cloud) -> npt.NDArray[np.void]:
    dtype = _dtype_of(cloud)
    _check_sizes(cloud)
    if cloud.height * cloud.width == 0:
        return np.empty(0, dtype=dtype)
    shape, strides = (cloud.height, cloud.width), (cloud.row_step, cloud.point_step)
    return np.ndarray(shape, dtype, buffer=cloud.data, strides=strides).reshape(-1)


def _check_sizes(cloud: _Cloud) -> None:
    if cloud.row_step < cloud.width * cloud.point_step:
        raise BadMessage("size", f"A row of {cloud.row_step} bytes cannot hold {cloud.width} points.")
    expected = cloud.height * cloud.row_step
    if len(cloud.data) < expected:
        raise BadMessage("truncated", f"The cloud has {len(cloud.data)} of {expected} bytes.")
    if len(cloud.data) > expected:
        raise BadMessage("size", f"The cloud has {len(cloud.data)} bytes instead of {expected}.")


def _dtype_of(cloud: _Cloud) -> np.dtype[np.void]:
    """The layout of one point. Raises BadMessage 'fields' when the description makes no sense."""
    if not cloud.fields or cloud.point_step >= 2**31:
        raise BadMessage("fields", "The cloud has no fields or points of more than 2 GiB.")
    names = [field.name for field in cloud.fields]
    if "" in names or len(set(names)) < len(names):
        raise BadMessage("fields", "A field of the cloud has no name or the name of another field.")
    order = ">" if cloud.is_bigendian else "<"
    formats = [_format_of(field, order, cloud.point_step) for field in cloud.fields]
    offsets = [field.offset for field in cloud.fields]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": cloud.point_step})


def _format_of(field: _Field, order: str, point_step: int) -> np.dtype[np.generic]:
    if field.datatype not in _TYPES or field.elements == 0:
        raise BadMessage("fields", f"Field '{field.name}' has type {field.datatype} and count {field.elements}.")
    number = np.dtype(order + _TYPES[field.datatype])
    if field.offset + field.elements * number.itemsize > point_step:
        raise BadMessage("fields", f"Field '{field.name}' reaches beyond the {point_step} bytes of a point.")
    return number if field.elements == 1 else np.dtype((number, (field.elements,)))
