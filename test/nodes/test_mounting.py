# SPDX-License-Identifier: Apache-2.0
"""The mounting of a camera as a parameter."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.nodes.mounting import read_mounting
from neuralfusion_ros.nodes.ros_parameter import ParameterError


@pytest.mark.parametrize("text", ["0.1 0 0.2 -0.5 0.5 -0.5 0.5", " 0.1, 0, 0.2, -0.5, 0.5, -0.5, 0.5 "])
def test_a_camera_that_looks_ahead(text):
    T = read_mounting(text)
    assert T is not None
    np.testing.assert_allclose(T @ [0, 0, 1, 1], [1.1, 0, 0.2, 1], atol=1e-12)  # forward
    np.testing.assert_allclose(T @ [1, 0, 0, 1], [0.1, -1, 0.2, 1], atol=1e-12)  # to the right


def test_nothing_is_no_mounting():
    assert read_mounting(" ") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 0 0 0 0 0 2", "quaternion has length 2, not 1"),
        ("0 0 0 0 0 0 0", "quaternion has length 0"),
        ("0 0 0 0 0 1", "it has 6 numbers"),
        ("0 0 0 0 0 0 nan", "not finite"),
        ("ahead", "could not convert"),
    ],
)
def test_what_is_no_mounting_is_refused_with_the_reason(text, why):
    with pytest.raises(ParameterError, match=f"front.camera_mounting '{text}' is not 'x y z qx qy qz qw'.*{why}"):
        read_mounting(text, "front.camera_mounting")
