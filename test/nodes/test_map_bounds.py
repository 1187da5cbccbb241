# SPDX-License-Identifier: Apache-2.0
"""The part of the world that is mapped, as a parameter."""

from __future__ import annotations

import math

import pytest

from neuralfusion_ros.nodes.map_bounds import read_bounds
from neuralfusion_ros.nodes.ros_parameter import ParameterError


@pytest.mark.parametrize("text", ["-inf -2 0 inf 2 2.5", " -inf, -2, 0, inf, 2, 2.5 "])
def test_a_box_may_be_open(text):
    assert read_bounds(text) == ((-math.inf, -2.0, 0.0), (math.inf, 2.0, 2.5))


def test_nothing_is_no_bounds():
    assert read_bounds(" ") is None


@pytest.mark.parametrize("text", ["1 2 3", "0 0 0 1 1 1 1", "low high", "0 0 0 1 1 one"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises(ParameterError, match=f"map_bounds '{text}' is not 'x_min y_min"):
        read_bounds(text)
