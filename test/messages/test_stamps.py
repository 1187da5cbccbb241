# SPDX-License-Identifier: Apache-2.0
"""Time stamps."""

from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.stamps import ns_to_stamp, stamp_to_ns


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_round_trip(stamp_ns):
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns


def test_negative_times_have_positive_nanoseconds():
    assert ns_to_stamp(-1) == Time(sec=-1, nanosec=999_999_999)


def test_too_many_nanoseconds_are_refused():
    with pytest.raises(BadMessage) as caught:
        stamp_to_ns(Time(sec=1, nanosec=1_000_000_000))
    assert caught.value.reason == "stamp"


def test_a_time_beyond_ros_is_an_error():
    with pytest.raises(ValueError, match="does not fit"):
        ns_to_stamp(2**31 * 10**9)
