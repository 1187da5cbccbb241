# SPDX-License-Identifier: Apache-2.0
"""Whole blocks at once, against numpy."""

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.compiled.block_states import all_finite, write_blocks


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 511, 2), (2, 100, 1)])
def test_every_half_that_is_not_finite_is_found(place):
    states = np.full((3, 512, 3), 65504.0, np.float16)
    for bits in range(0, 0x10000, 7):
        number = np.array([bits], np.uint16).view(np.float16)[0]
        states[place] = number
        assert all_finite(states) == bool(np.isfinite(number))
    for number in (np.inf, -np.inf, np.nan, -0.0):
        states[place] = number
        assert all_finite(states) == bool(np.isfinite(number))


def test_blocks_from_the_middle_of_a_message():
    """The states begin at any byte and lie apart, as in a point cloud."""
    generator = np.random.default_rng(0)
    points = np.frombuffer(generator.bytes(5 * (13 + 2048) + 3), np.uint8)[3:].reshape(5, -1)
    states = points[:, 13:].view("<f2").reshape(5, 512, 2)
    values = torch.zeros((4, 512, 2), dtype=torch.float16)
    write_blocks(values, torch.tensor([2, -1, 0, -1, 3]), states)
    expected = np.zeros((4, 512, 2), np.float16)
    expected[[2, 0, 3]] = states[[0, 2, 4]]
    assert np.array_equal(values.numpy().view(np.uint16), expected.view(np.uint16))
    write_blocks(values, torch.zeros(0, dtype=torch.int64), states[:0])
