# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 to and from structured arrays, against rclpy and, where it exists, sensor_msgs_py."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2, PointField

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.point_cloud import point_cloud_bytes, read_point_cloud
from neuralfusion_ros.messages.stamps import ns_to_stamp

STAMP_NS = 5_000_000_007
MIXED = np.dtype(
    [("x", "<f4"), ("i", "<i4"), ("n", "<u4"), ("d", "<f8"), ("s", "<i2"), ("flag", "u1"), ("bytes", "u1", (5,))]
)


def make_points(count, dtype=MIXED):
    rng = np.random.default_rng(count)
    points = np.zeros(count, dtype=dtype)
    for name in dtype.names:
        points[name] = rng.integers(0, 100, size=points[name].shape)
    return points


def make_message(order="<", height=1, width=2, gap=0, row_gap=0):
    """A cloud with the fields x (float32) and c (2 x uint16), with gaps between the fields and after the rows.

    Returns the message and the points in it.
    """
    dtype = np.dtype(
        {
            "names": ["x", "c"],
            "formats": [order + "f4", (order + "u2", (2,))],
            "offsets": [gap, 4 + 2 * gap],
            "itemsize": 8 + 3 * gap,
        }
    )
    points = make_points(height * width, dtype)
    rows = points.view(np.uint8).reshape(height, -1)
    message = PointCloud2(height=height, width=width, is_bigendian=order == ">", point_step=dtype.itemsize)
    message.header.frame_id, message.header.stamp = "map", ns_to_stamp(STAMP_NS)
    message.fields = [
        PointField(name="x", offset=gap, datatype=PointField.FLOAT32, count=1),
        PointField(name="c", offset=4 + 2 * gap, datatype=PointField.UINT16, count=2),
    ]
    message.row_step = rows.shape[1] + row_gap
    message.data = array.array("B", np.pad(rows, ((0, 0), (0, row_gap)), constant_values=255).tobytes())
    return message, points


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("frame_id", ["", "map", "world"])
def test_bytes_are_those_of_rclpy(assert_like_rclpy, frame_id, count):
    points = make_points(count)
    message = PointCloud2(height=1, width=count, point_step=32, row_step=32 * count, is_dense=True)
    message.header.frame_id, message.header.stamp = frame_id, ns_to_stamp(STAMP_NS)
    kinds = (("x", 7, 1), ("i", 5, 1), ("n", 6, 1), ("d", 8, 1), ("s", 3, 1), ("flag", 2, 1), ("bytes", 2, 5))
    offsets = (0, 4, 8, 12, 20, 22, 23)
    message.fields = [
        PointField(name=name, offset=offset, datatype=kind, count=number)
        for (name, kind, number), offset in zip(kinds, offsets, strict=True)
    ]
    message.point_step, message.row_step = 28, 28 * count
    message.data = array.array("B", points.tobytes())
    assert_like_rclpy(lambda: point_cloud_bytes(frame_id, STAMP_NS, points), message)


@pytest.mark.parametrize("aligned", [False, True])
def test_round_trip_through_bytes_and_message(aligned):
    points = make_points(4, np.dtype(MIXED.descr, align=aligned))
    data = point_cloud_bytes("map", STAMP_NS, points)
    for message in (data, deserialize_message(data, PointCloud2)):
        frame_id, stamp_ns, read = read_point_cloud(message)
        assert (frame_id, stamp_ns, read.dtype) == ("map", STAMP_NS, MIXED)
        assert read.tobytes() == points.astype(MIXED).tobytes()


def test_big_endian_points_are_sent_in_little_endian():
    points = make_points(3, np.dtype([("x", ">f4"), ("n", ">u4")]))
    _, _, read = read_point_cloud(point_cloud_bytes("map", 0, points))
    assert read.dtype["x"] == np.dtype("<f4")
    assert read.tolist() == points.tolist()


@pytest.mark.parametrize("dtype", [[("x", "f2")], [("x", "i8")], [("x", "?")], [("x", "U4")], "f4"])
def test_points_that_ros_cannot_hold_are_an_error(dtype):
    with pytest.raises(ValueError, match="field"):
        point_cloud_bytes("map", 0, np.zeros(1, dtype=dtype))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("height", "gap", "row_gap"), [(1, 0, 0), (1, 3, 5), (3, 0, 0), (3, 1, 7)])
def test_offsets_row_step_and_byte_order_are_honoured(order, height, gap, row_gap):
    message, points = make_message(order, height, 2, gap, row_gap)
    for form in (message, serialize_message(message)):
        read = read_point_cloud(form)[2]
        assert read["x"].tolist() == points["x"].tolist()
        assert read["c"].tolist() == points["c"].tolist()


def damage(**changes):
    message, _ = make_message(height=2)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def field(**changes):
    values = {"name": "x", "offset": 0, "datatype": PointField.FLOAT32, "count": 1}
    return PointField(**(values | changes))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (damage(data=array.array("B", bytes(31))), "truncated"),
        (damage(data=array.array("B", bytes(33))), "size"),
        (damage(row_step=15), "size"),
        (damage(width=3), "size"),
        (damage(fields=[]), "fields"),
        (damage(fields=[field(), field(offset=4)]), "fields"),
        (damage(fields=[field(name="")]), "fields"),
        (damage(fields=[field(datatype=0)]), "fields"),
        (damage(fields=[field(datatype=9)]), "fields"),
        (damage(fields=[field(count=0)]), "fields"),
        (damage(fields=[field(offset=5)]), "fields"),
        (damage(fields=[field(count=2**32 - 1)]), "fields"),
        (damage(point_step=2**32 - 1, width=0, row_step=0, data=array.array("B")), "fields"),
    ],
)
def test_clouds_that_contradict_themselves_are_refused(message, reason):
    for form in (message, serialize_message(message)):
        with pytest.raises(BadMessage) as caught:
            read_point_cloud(form)
        assert caught.value.reason == reason


small = st.integers(0, 40)
any_uint32 = st.one_of(small, st.integers(0, 2**32 - 1))
any_field = st.builds(
    PointField,
    name=st.sampled_from(["", "x", "y", "data"]),
    offset=any_uint32,
    datatype=st.integers(0, 10),
    count=any_uint32,
)


@given(
    height=any_uint32,
    width=any_uint32,
    fields=st.lists(any_field, max_size=3),
    is_bigendian=st.booleans(),
    point_step=any_uint32,
    row_step=any_uint32,
    data=st.binary(max_size=80).map(lambda data: array.array("B", data)),
)
def test_any_cloud_is_read_or_refused_alike_in_both_forms(**values):
    message = PointCloud2(**values)
    results: list[Any] = []
    for form in (message, serialize_message(message)):
        try:
            results.append(read_point_cloud(form)[2].tobytes())
        except BadMessage as error:
            results.append((error.reason, error.detail))
    assert results[0] == results[1]


@given(st.data())
def test_damaged_bytes_are_read_or_refused(data):
    message = bytearray(point_cloud_bytes("map", STAMP_NS, make_points(2)))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        points = read_point_cloud(bytes(message[: data.draw(st.integers(0, len(message)))]))[2]
    except BadMessage:
        return
    assert points.ndim == 1 and points.dtype.names


def test_same_points_as_sensor_msgs_py():
    reference = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py exists only in a ROS distribution"
    )
    message = deserialize_message(point_cloud_bytes("map", STAMP_NS, make_points(5)), PointCloud2)
    theirs, ours = reference.read_points(message), read_point_cloud(message)[2]
    for name in ("x", "i", "n", "d", "s", "flag"):
        np.testing.assert_array_equal(theirs[name], ours[name])
