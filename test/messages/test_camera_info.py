# SPDX-License-Identifier: Apache-2.0
"""Camera info: intrinsics, binning, region of interest and bad messages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.rectification import Distortion, rectify
from neuralfusion_ros.messages.camera_info import decode_camera, decode_distortion, encode_camera
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import stamp_to_ns

CAMERA = PinholeCamera(640, 480, 525.0, 520.0, 319.5, 239.25)


def make_info(**changes):
    info = encode_camera(CAMERA, 0, "camera")
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def test_round_trip_through_ros():
    info = deserialize_message(serialize_message(encode_camera(CAMERA, 99, "camera")), CameraInfo)
    assert (info.header.frame_id, stamp_to_ns(info.header.stamp)) == ("camera", 99)
    assert info.p.reshape(3, 4)[:, :3].tolist() == info.k.reshape(3, 3).tolist()
    assert decode_camera(info, (640, 480)) == CAMERA


@pytest.mark.parametrize("coefficients", [[], [0.0] * 5, [0.0] * 8, [1e-5, 0.0, 0.0, 0.0, 0.0]])
@pytest.mark.parametrize("model", ["plumb_bob", "", "equidistant"])
def test_coefficients_of_next_to_nothing_are_no_distortion(coefficients, model):
    assert decode_distortion(make_info(d=coefficients, distortion_model=model)) is None


@pytest.mark.parametrize(
    ("model", "coefficients", "lens"),
    [
        ("plumb_bob", [0.1, 0.2, 0.3, 0.4, 0.5], Distortion(0.1, 0.2, 0.3, 0.4, 0.5)),
        ("plumb_bob", [0.1, 0.2, 0.3, 0.4], Distortion(0.1, 0.2, 0.3, 0.4)),
        ("rational_polynomial", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], Distortion(1, 2, 3, 4, 5, 6, 7, 8)),
        ("rational_polynomial", [1.0] * 8 + [0.0] * 6, Distortion(*[1.0] * 8)),
    ],
)
def test_the_coefficients_come_in_the_order_of_ros(model, coefficients, lens):
    assert decode_distortion(make_info(d=coefficients, distortion_model=model)) == lens


@pytest.mark.parametrize(
    ("model", "coefficients", "why"),
    [
        ("equidistant", [0.1] * 4, "not 'equidistant'; send rectified images"),
        ("", [0.1] * 5, "not ''"),
        ("plumb_bob", [0.1] * 8, "no coefficients of plumb_bob"),
        ("plumb_bob", [float("nan")] * 5, "no coefficients of plumb_bob"),
        ("plumb_bob", [1e300, 0.0, 0.0, 0.0, 0.0], "no coefficients of plumb_bob"),
        ("rational_polynomial", [0.1] * 5 + [-1001.0] * 3, "no coefficients of rational_polynomial"),
        ("rational_polynomial", [0.1] * 12, "no coefficients of rational_polynomial"),
    ],
)
def test_distortion_that_cannot_be_undone_is_refused_by_name(model, coefficients, why):
    with pytest.raises(BadMessage, match=why) as caught:
        decode_distortion(make_info(d=coefficients, distortion_model=model))
    assert caught.value.reason == "distortion"


def with_p(fx, fy, cx, cy, skew=0.0):
    return [fx, skew, cx, -30.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_rectified_images_are_read_with_p_and_others_with_k():
    info = make_info(p=with_p(500.0, 501.0, 300.0, 200.0), d=[0.1] * 5)
    assert decode_camera(info, (640, 480)) == CAMERA
    assert decode_camera(info, (640, 480), rectified=True) == PinholeCamera(640, 480, 500.0, 501.0, 300.0, 200.0)


def test_an_empty_p_is_not_used():
    assert decode_camera(make_info(p=[0.0] * 12), (640, 480), rectified=True) == CAMERA


def test_binning_and_region_hold_for_p_too():
    roi = RegionOfInterest(x_offset=40, y_offset=20, width=320, height=240)
    info = make_info(p=with_p(500.0, 500.0, 300.0, 200.0), binning_x=2, binning_y=2, roi=roi)
    expected = PinholeCamera(160, 120, 250.0, 250.0, (300 - 40 - 0.5) / 2, (200 - 20 - 0.5) / 2)
    assert decode_camera(info, (160, 120), rectified=True) == expected


def test_a_p_with_skew_is_refused():
    with pytest.raises(BadMessage, match="skew 2"):
        decode_camera(make_info(p=with_p(5.0, 5.0, 1.0, 1.0, skew=2.0)), (640, 480), rectified=True)


@pytest.mark.parametrize(
    "k",
    [[0.0] * 9, [float("nan"), 0, 0, 0, 1, 0, 0, 0, 1], [-5.0, 0, 1, 0, 5, 1, 0, 0, 1], [5.0, 2, 1, 0, 5, 1, 0, 0, 1]],
)
def test_unusable_intrinsics_are_refused(k):
    with pytest.raises(BadMessage) as caught:
        decode_camera(make_info(k=[float(value) for value in k]), (640, 480))
    assert caught.value.reason == "intrinsics"


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ((1e-300, 525.0, 319.5, 239.5), r"fx and fy must lie in 6\.4\.\.64000 pixels for a sensor of 640 pixels, got"),
        ((525.0, 1e300, 319.5, 239.5), "got fx=525 fy=1e\\+300"),
        ((525.0, 6.0, 319.5, 239.5), "fx and fy"),
        ((525.0, 525.0, -7e3, 239.5), "cx and cy must lie within 6400 pixels"),
        ((525.0, 525.0, 319.5, float("nan")), "cx and cy"),
    ],
)
def test_intrinsics_that_no_camera_has_are_refused_with_the_numbers(numbers, why, rectified):
    fx, fy, cx, cy = numbers
    info = make_info(p=with_p(*numbers), k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0])
    with pytest.raises(BadMessage, match=why) as caught:
        decode_camera(info, (640, 480), rectified)
    assert caught.value.reason == "intrinsics"


def test_a_narrow_region_of_a_sensor_is_judged_by_the_sensor():
    roi = RegionOfInterest(x_offset=600, y_offset=440, width=4, height=4)
    assert decode_camera(make_info(roi=roi), (4, 4)).cx == pytest.approx(319.5 - 600)


def test_equal_binning_is_pooling():
    assert decode_camera(make_info(binning_x=2, binning_y=2), (320, 240)) == CAMERA.pooled(2)


@pytest.mark.parametrize(("bin_x", "bin_y"), [(0, 0), (1, 1), (2, 4), (3, 2)])
@pytest.mark.parametrize("offset", [(0, 0), (31, 50)])
def test_a_pixel_sees_the_middle_of_the_sensor_pixels_it_covers(bin_x, bin_y, offset):
    roi = RegionOfInterest(x_offset=offset[0], y_offset=offset[1], width=240, height=180)
    step = np.maximum((bin_x, bin_y), 1)
    width, height = 240 // step[0], 180 // step[1]
    camera = decode_camera(make_info(binning_x=bin_x, binning_y=bin_y, roi=roi), (width, height))
    point = torch.tensor([0.1, -0.2, 1.5])
    on_sensor, on_image = CAMERA.project(point).numpy(), camera.project(point).numpy()
    first_centre = np.array(offset) + (step - 1) / 2
    np.testing.assert_allclose(on_image * step + first_centre, on_sensor, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (320, 240)),
        ({}, (480, 640)),
        ({"width": 0, "height": 0}, (640, 480)),
        ({"width": 0, "height": 0}, (0, 0)),
        ({"binning_x": 2, "binning_y": 2}, (640, 480)),
        ({"binning_x": 2**32 - 1}, (0, 480)),
        ({"roi": RegionOfInterest(width=320, height=240)}, (640, 480)),
        ({"roi": RegionOfInterest(x_offset=400, width=320, height=240)}, (320, 240)),
    ],
)
def test_another_size_than_the_image_is_refused(changes, size):
    with pytest.raises(BadMessage) as caught:
        decode_camera(make_info(**changes), size)
    assert caught.value.reason == "size"


any_uint32 = st.one_of(st.integers(0, 4), st.integers(0, 2**32 - 1))
any_float = st.one_of(st.sampled_from([0.0, 1.0, 5e-324]), st.floats())


@given(
    st.tuples(*[any_float] * 4),
    st.lists(any_float, max_size=3),
    st.tuples(any_uint32, any_uint32),
    st.builds(RegionOfInterest, x_offset=any_uint32, y_offset=any_uint32, width=any_uint32, height=any_uint32),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_any_info_is_decoded_or_refused(intrinsics, coefficients, binning, roi, size):
    fx, fy, cx, cy = intrinsics
    info = CameraInfo(
        width=9,
        height=9,
        d=coefficients,
        distortion_model="plumb_bob",
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        roi=roi,
    )
    info.binning_x, info.binning_y = binning
    try:
        camera = decode_camera(info, size)
        lens = decode_distortion(info)
    except BadMessage:
        return
    assert (camera.width, camera.height) == size
    if lens is not None:
        assert rectify(np.ones((size[1], size[0]), np.float32), camera, lens).shape == (size[1], size[0])
