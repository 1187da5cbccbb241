# SPDX-License-Identifier: Apache-2.0
"""Depth images: encodings, byte order, row padding, invalid depths and bad messages."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from neuralfusion_ros.messages.depth_image import decode_depth, encode_depth
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import stamp_to_ns

TYPES = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}


def make_image(encoding, pixels, order="<", row_gap=0):
    raw = np.asarray(pixels).astype(order + TYPES[encoding])
    rows = np.pad(raw.view(np.uint8).reshape(len(raw), -1), ((0, 0), (0, row_gap)), constant_values=255)
    image = Image(height=raw.shape[0], width=raw.shape[1], encoding=encoding, is_bigendian=int(order == ">"))
    image.step = rows.shape[1]
    image.data = array.array("B", rows.tobytes())
    return image


@pytest.mark.parametrize("row_gap", [0, 1, 6])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_integer_depth_is_counted_in_millimetres(encoding, order, row_gap):
    depth_m = decode_depth(make_image(encoding, [[0, 1, 1500], [65535, 256, 2]], order, row_gap))
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, [[0, 0.001, 1.5], [65.535, 0.256, 0.002]], rtol=1e-6)


def test_integer_depth_in_other_steps():
    np.testing.assert_allclose(decode_depth(make_image("16UC1", [[5000]]), depth_scale_m=1 / 5000), [[1.0]])


@pytest.mark.parametrize("row_gap", [0, 3, 8])
@pytest.mark.parametrize("order", ["<", ">"])
def test_float_depth_is_in_metres_and_invalid_depth_becomes_zero(order, row_gap):
    pixels = [[1.25, np.nan, np.inf], [-np.inf, -1.0, 0.0]]
    depth_m = decode_depth(make_image("32FC1", pixels, order, row_gap))
    assert depth_m.dtype == np.dtype("=f4")
    assert depth_m.tolist() == [[1.25, 0, 0], [0, 0, 0]]


def test_decoding_leaves_the_message_alone():
    image = make_image("32FC1", [[np.nan, -1.0]])
    before = image.data.tobytes()
    decode_depth(image)[:] = 7
    assert image.data.tobytes() == before


@pytest.mark.parametrize("encoding", TYPES)
def test_round_trip_through_ros(encoding):
    depth_m = np.array([[0.0, 0.5, 3.217], [65.535, 0.001, 0.0]], dtype=np.float32)
    image = deserialize_message(serialize_message(encode_depth(depth_m, 123, "camera", encoding)), Image)
    assert (image.encoding, image.header.frame_id, stamp_to_ns(image.header.stamp)) == (encoding, "camera", 123)
    np.testing.assert_allclose(decode_depth(image), depth_m, rtol=1e-6)


def test_encoding_marks_missing_depth_in_the_way_of_ros():
    depth_m = np.array([[0.0, np.nan, -1.0, 70.0, np.inf]])
    assert np.frombuffer(encode_depth(depth_m, 0, "c", "16UC1").data, np.uint16).tolist() == [0, 0, 0, 0, 0]
    metres = np.frombuffer(encode_depth(depth_m, 0, "c", "32FC1").data, np.float32)
    np.testing.assert_array_equal(metres, np.array([np.nan, np.nan, np.nan, 70, np.inf], np.float32))


def test_depth_cannot_be_sent_in_colour():
    with pytest.raises(ValueError, match="rgb8"):
        encode_depth(np.ones((1, 1)), 0, "c", "rgb8")


def damage(**changes):
    image = make_image("16UC1", np.ones((3, 4)))
    for name, value in changes.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image(), "encoding"),
        (damage(encoding="rgb8"), "encoding"),
        (damage(encoding="32FC1"), "size"),
        (damage(height=0, data=array.array("B")), "size"),
        (damage(width=0), "size"),
        (damage(step=7), "size"),
        (damage(step=9), "truncated"),
        (damage(height=2), "size"),
        (damage(height=4), "truncated"),
        (damage(data=array.array("B", bytes(23))), "truncated"),
        (damage(data=array.array("B", bytes(25))), "size"),
        (damage(height=2**32 - 1, width=2**30, step=2**32 - 1), "truncated"),
    ],
)
def test_bad_images_are_refused_with_a_reason(image, reason):
    with pytest.raises(BadMessage) as caught:
        decode_depth(image)
    assert caught.value.reason == reason
    assert caught.value.detail.endswith(".") and "\n" not in caught.value.detail


any_uint32 = st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1))


@given(
    height=any_uint32,
    width=any_uint32,
    step=any_uint32,
    encoding=st.sampled_from(["", "rgb8", *TYPES]),
    is_bigendian=st.integers(0, 255),
    data=st.one_of(st.binary(max_size=64), st.integers(0, 81).map(lambda size: b"\xff" * size)),
)
def test_any_image_is_decoded_or_refused(**values):
    image = Image(**(values | {"data": array.array("B", values["data"])}))
    try:
        depth_m = decode_depth(image)
    except BadMessage:
        return
    assert depth_m.shape == (image.height, image.width)
    assert np.isfinite(depth_m).all() and (depth_m >= 0).all()


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 3),
    st.sampled_from("<>"),
    st.sampled_from(sorted(TYPES)),
    st.data(),
)
def test_every_consistent_image_is_decoded(height, width, row_gap, order, encoding, data):
    size = height * width * np.dtype(TYPES[encoding]).itemsize
    pixels = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), TYPES[encoding]).reshape(height, width)
    depth_m = decode_depth(make_image(encoding, pixels, order, row_gap))
    scale = np.float32(0.001 if TYPES[encoding] == "u2" else 1)
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isfinite(pixels) & (pixels > 0), pixels, 0).astype(np.float32) * scale
    np.testing.assert_allclose(depth_m, expected, rtol=2e-7)  # a product and a quotient may differ in the last bit


@pytest.mark.parametrize("encoding", TYPES)
def test_same_pixels_as_cv_bridge(encoding):
    cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge exists only in a ROS distribution")
    depth_m = np.random.default_rng(0).uniform(0.1, 5, size=(4, 6)).astype(np.float32)
    image = encode_depth(depth_m, 0, "camera", encoding)
    theirs = cv_bridge.CvBridge().imgmsg_to_cv2(image, "passthrough").astype(np.float32)
    np.testing.assert_allclose(decode_depth(image), theirs * (1 if encoding == "32FC1" else 0.001), rtol=1e-6)
