# SPDX-License-Identifier: Apache-2.0
"""The slice of the live view, from a stream of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.commands import view_slice
from neuralfusion_ros.commands.view_slice import MapSlice
from neuralfusion_ros.mapping.voxel_state import N_EVIDENCE, WEIGHT
from neuralfusion_ros.messages.latent_blocks import BlockMessage

VOXEL_M, CHANNELS = 0.1, N_EVIDENCE + 3


def message(sequence, keys=(), states=None, removed=(), first=False, map_id=1):
    keys, removed = (np.array(part, np.int32).reshape(-1, 3) for part in (keys, removed))
    states = np.zeros((len(keys), 512, CHANNELS), np.float16) if states is None else states
    return BlockMessage(0, "odom", map_id, sequence, VOXEL_M, 0, first, 100, keys, states, removed)


def blocks_with(voxels):
    """One block's states, with evidence and a latent vector in the (x, y, z) voxels given."""
    states = np.zeros((1, 512, CHANNELS), np.float16)
    for (x, y, z), latent in voxels.items():
        number = (x * 8 + y) * 8 + z
        states[0, number, WEIGHT], states[0, number, N_EVIDENCE:] = 2, latent
    return states


def test_a_slice_has_the_voxels_of_its_height_only():
    slice_ = MapSlice()
    states = blocks_with({(1, 2, 3): (1, 0, 0), (7, 0, 3): (-1, 0, 0), (4, 4, 4): (0, 1, 0)})
    slice_.apply(message(0, [(0, -1, 2)], states))
    assert slice_.is_old and slice_.heights_m() == pytest.approx((1.6, 1.6, 2.4))
    part = slice_.at(1.6 + 0.35)
    np.testing.assert_allclose(part.positions_m, [[0.15, -0.55, 1.95], [0.75, -0.75, 1.95]], atol=1e-6)
    assert np.abs(part.colours[0] - part.colours[1]).max() > 0.5
    assert not slice_.is_old and len(slice_.at(0.0).positions_m) == 0


def test_a_slice_may_show_how_sure_the_map_is():
    slice_, states = MapSlice(), blocks_with({(0, 0, 0): (1, 2, 3), (5, 0, 0): (1, 2, 3)})
    states[0, 5 * 64, WEIGHT] = 100
    slice_.apply(message(0, [(0, 0, 0)], states))
    once, often = slice_.at(0.05, "uncertainty").colours
    assert once[0] > 1.5 * often[0] and once[2] < often[2]


@pytest.mark.parametrize("axis", [0, 1])
def test_where_another_axis_is_up_it_lies_across_that_one(axis):
    slice_ = MapSlice(axis)
    slice_.apply(message(0, [(1, 2, 3)], blocks_with({(4, 5, 6): (1, 2, 3), (5, 4, 6): (1, 2, 3)})))
    low_m, _, high_m = slice_.heights_m()
    assert (low_m, high_m) == pytest.approx(((0.8, 1.6), (1.6, 2.4))[axis])
    (position,) = slice_.at(low_m + 0.45).positions_m
    assert position == pytest.approx(((1.25, 2.15, 3.05), (1.35, 2.05, 3.05))[axis], abs=1e-6)


def test_removed_blocks_and_old_maps_vanish():
    slice_ = MapSlice()
    states = blocks_with({(0, 0, 0): (1, 2, 3)})
    slice_.apply(message(0, [(0, 0, 0)], states))
    slice_.apply(message(1, [(1, 0, 0)], states))
    slice_.apply(message(2, removed=[(0, 0, 0)]))
    np.testing.assert_allclose(slice_.at(0.05).positions_m, [[0.85, 0.05, 0.05]], atol=1e-6)
    slice_.apply(message(0, map_id=2))
    assert slice_.n_blocks == 0 and len(slice_.at(0.05).positions_m) == 0


def test_a_large_map_keeps_what_changed_last(monkeypatch):
    monkeypatch.setattr(view_slice, "MAX_BLOCKS", 2)
    slice_, states = MapSlice(), blocks_with({(0, 0, 0): (1, 2, 3)})
    for sequence, x in enumerate((0, 1, 0, 2)):
        slice_.apply(message(sequence, [(x, 0, 0)], states))
    assert sorted(slice_.at(0.05).positions_m[:, 0].round(2)) == pytest.approx([0.05, 1.65])
