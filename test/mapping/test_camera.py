# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera: rays and projection are inverse, pooled pixels are the means of their pixels."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.camera import PinholeCamera

cameras = st.builds(
    PinholeCamera,
    st.integers(1, 50),
    st.integers(1, 50),
    st.floats(5, 500),
    st.floats(5, 500),
    st.floats(-10, 60),
    st.floats(-10, 60),
)


@settings(max_examples=50, deadline=None)
@given(cameras, st.floats(0.1, 20))
def test_project_inverts_rays(camera, depth):
    rays = camera.rays()
    assert rays.shape == (camera.height, camera.width, 3)
    assert (rays[..., 2] == 1).all()
    v, u = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    expected = torch.stack((u, v), dim=-1).float()
    torch.testing.assert_close(camera.project(rays * depth), expected, atol=2e-3, rtol=0)


def test_known_pixel():
    camera = PinholeCamera(64, 48, 50.0, 40.0, 30.0, 20.0)
    assert camera.rays()[20, 30].tolist() == [0, 0, 1]
    assert camera.rays()[22, 35].tolist() == pytest.approx([0.1, 0.05, 1])
    assert camera.project(torch.tensor([0.2, 0.1, 2.0])).tolist() == pytest.approx([35, 22])


@settings(max_examples=50, deadline=None)
@given(cameras, st.integers(1, 8))
def test_centre_of_a_pooled_pixel_is_the_mean_of_its_pixels(camera, factor):
    if min(camera.width, camera.height) < factor:
        with pytest.raises(ValueError, match="image size"):
            camera.pooled(factor)
        return
    pooled = camera.pooled(factor)
    assert (pooled.width, pooled.height) == (camera.width // factor, camera.height // factor)
    rays = camera.rays()[: pooled.height * factor, : pooled.width * factor]
    tiles = rays.reshape(pooled.height, factor, pooled.width, factor, 3)
    torch.testing.assert_close(pooled.rays(), tiles.mean(dim=(1, 3)), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("intrinsics", "message"),
    [
        ((0, 4, 5, 5, 1, 1), "image size"),
        ((4, -1, 5, 5, 1, 1), "image size"),
        ((4, 4, 0, 5, 1, 1), "focal"),
        ((4, 4, 5, -5, 1, 1), "focal"),
        ((4, 4, math.nan, 5, 1, 1), "finite"),
        ((4, 4, 5, math.inf, 1, 1), "finite"),
        ((4, 4, 5, 5, math.nan, 1), "finite"),
        ((4, 4, 5, 5, 1, -math.inf), "finite"),
    ],
)
def test_impossible_cameras_are_refused(intrinsics, message):
    with pytest.raises(ValueError, match=message):
        PinholeCamera(*intrinsics)
