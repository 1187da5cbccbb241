# SPDX-License-Identifier: Apache-2.0
"""Block messages: round trips, what a viewer sees, and messages that contradict themselves."""

from __future__ import annotations

import array
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.latent_blocks import BlockMessage, decode_blocks, encode_blocks
from neuralfusion_ros.messages.point_cloud import point_cloud_bytes, read_point_cloud


def make_message(n_blocks=3, n_removed=2, channels=2, **changes):
    rng = np.random.default_rng(n_blocks)
    keys = np.stack(
        [np.arange(n_blocks + n_removed), np.full(n_blocks + n_removed, -7), np.arange(n_blocks + n_removed)]
    )
    values: dict[str, Any] = {
        "stamp_ns": 1_500_000_000,
        "frame_id": "map",
        "map_id": 2**32 - 1,
        "sequence": 7,
        "voxel_size_m": 0.04,
        "model_hash": 0xDEADBEEF,
        "first_of_full": True,
        "n_blocks_total": 50,
        "keys": keys.T[:n_blocks].astype(np.int32),
        "states": rng.normal(size=(n_blocks, 512, channels)).astype(np.float16),
        "removed": keys.T[n_blocks:].astype(np.int32),
    }
    return BlockMessage(**(values | changes))


def assert_same(a, b):
    for name in (field.name for field in fields(BlockMessage)):
        left, right = getattr(a, name), getattr(b, name)
        if isinstance(left, np.ndarray) and left.size:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, err_msg=name)
        elif isinstance(left, np.ndarray):
            assert len(left) == len(right), name
        else:
            assert left == right and type(left) is type(right), name


@pytest.mark.parametrize("channels", [1, 12])
@pytest.mark.parametrize(("n_blocks", "n_removed"), [(3, 2), (1, 0), (0, 3), (0, 0)])
@pytest.mark.parametrize("first_of_full", [True, False])
def test_round_trip_through_bytes_and_message(channels, n_blocks, n_removed, first_of_full):
    message = make_message(n_blocks, n_removed, channels, first_of_full=first_of_full)
    data = encode_blocks(message)
    assert_same(decode_blocks(data), message)
    assert_same(decode_blocks(deserialize_message(data, PointCloud2)), message)


def test_a_viewer_shows_the_smallest_corners_of_the_blocks():
    message = make_message()
    _, _, points = read_point_cloud(encode_blocks(message))
    corners_m = np.stack([points[axis] for axis in "xyz"], axis=-1)[:3]
    np.testing.assert_allclose(corners_m, message.keys * 8 * 0.04, rtol=1e-6)


def test_messages_without_blocks_are_small():
    assert len(encode_blocks(make_message(0, 0))) < 1000
    assert len(encode_blocks(make_message(0, 100))) < 10_000


def test_decoded_arrays_do_not_hang_on_the_message():
    cloud = deserialize_message(encode_blocks(make_message()), PointCloud2)
    decoded = decode_blocks(cloud)
    cloud.data = array.array("B", bytes(len(cloud.data)))
    assert_same(decoded, make_message())
    decoded.states[:] = 1


@pytest.mark.parametrize("shape", [(2, 512, 2), (3, 511, 2)])
def test_keys_and_states_must_belong_together(shape):
    with pytest.raises(ValueError, match="shape"):
        encode_blocks(make_message(states=np.zeros(shape, np.float16)))


def test_a_big_endian_sender_is_understood():
    data = encode_blocks(make_message())
    cloud = deserialize_message(data, PointCloud2)
    _, _, points = read_point_cloud(data)
    cloud.data = array.array("B", points.astype(points.dtype.newbyteorder(">")).tobytes())
    cloud.is_bigendian = True
    assert_same(decode_blocks(cloud), make_message())


def damage_points(change, **changes):
    """A block message whose points were changed."""
    frame_id, stamp_ns, points = read_point_cloud(encode_blocks(make_message(**changes)))
    points = points.copy()
    return point_cloud_bytes(frame_id, stamp_ns, change(points))


def with_value(name, row, value):
    def change(points):
        points[name][row] = value
        return points

    return lambda: damage_points(change)


def without_field(name):
    return lambda: damage_points(lambda points: points[[other for other in points.dtype.names if other != name]])


def with_half(bits):
    def change(points):
        points["data"][1, 100:102] = np.frombuffer(np.uint16(bits).tobytes(), np.uint8)
        return points

    return lambda: damage_points(change)


BAD = {
    "no points": lambda: damage_points(lambda points: points[:0]),
    "truncated": lambda: encode_blocks(make_message())[:-20],
    "no data": without_field("data"),
    "no kind": without_field("kind"),
    "another cloud": lambda: point_cloud_bytes("map", 0, np.zeros(1, [("x", "f4")])),
    "two maps": with_value("map_id", 1, 5),
    "two sequences": with_value("sequence", 4, 5),
    "unknown kind": with_value("kind", 0, 3),
    "header among blocks": with_value("kind", 4, 2),
    "far away": with_value("i", 0, 2**30),
    "farther away": with_value("i", 0, -(2**31)),
    "twice": lambda: damage_points(lambda points: points[[0, 1, 2, 4, 4]]),
    "voxel size zero": with_value("voxel_size", slice(None), 0),
    "voxel size nan": with_value("voxel_size", slice(None), np.nan),
    "fewer blocks than sent": with_value("n_blocks_total", slice(None), 2),
    "infinite": with_half(0x7C00),
    "minus infinite": with_half(0xFC00),
    "nan": with_half(0x7E00),
    "not a message": lambda: b"\x00\x01\x00\x00hello",
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_bad_messages_are_refused(make):
    with pytest.raises(BadMessage) as caught:
        decode_blocks(make())
    assert caught.value.reason == "latent_blocks"
    assert caught.value.detail.endswith(".")


def test_the_largest_half_float_is_accepted():
    states = np.full((1, 512, 1), 65504, dtype=np.float16)
    message = make_message(1, 0, states=states)
    assert_same(decode_blocks(encode_blocks(message)), message)


@pytest.mark.parametrize(
    ("datatype", "count"), [(PointField.UINT8, 1023), (PointField.UINT8, 1), (PointField.INT8, 1024)]
)
def test_data_of_another_shape_is_refused(datatype, count):
    cloud = deserialize_message(encode_blocks(make_message(channels=1)), PointCloud2)
    cloud.fields[-1].datatype, cloud.fields[-1].count = datatype, count
    with pytest.raises(BadMessage, match="whole float16 channels"):
        decode_blocks(cloud)


@given(st.data())
def test_damaged_bytes_are_decoded_or_refused(data):
    n_blocks, n_removed = data.draw(st.sampled_from([(1, 1), (0, 2), (0, 0)]))
    message = bytearray(encode_blocks(make_message(n_blocks, n_removed, 1)))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, min(len(message) - 1, 600)))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_blocks(bytes(message[: data.draw(st.integers(0, len(message)))]))
    except BadMessage as error:
        assert error.reason == "latent_blocks"
        return
    assert decoded.states.shape[:2] == (len(decoded.keys), 512)
    assert np.isfinite(decoded.states).all() and decoded.voxel_size_m > 0


keys = st.tuples(*[st.integers(-(2**20) + 1, 2**20 - 1)] * 3)


@given(st.lists(keys, unique=True, max_size=4), st.integers(0, 4), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_message_survives(all_keys, n_blocks, map_id, sequence):
    rows = np.array(all_keys, dtype=np.int32).reshape(-1, 3)
    blocks, removed = rows[:n_blocks], rows[n_blocks:]
    states = np.full((len(blocks), 512, 1), 0.5, dtype=np.float16)
    message = replace(make_message(), keys=blocks, states=states, removed=removed, map_id=map_id, sequence=sequence)
    assert_same(decode_blocks(encode_blocks(message)), message)
