# SPDX-License-Identifier: Apache-2.0
"""The slice of the translated map against all of its voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.tsdf_slice import tsdf_slice
from neuralfusion_ros.mapping.voxel_state import n_channels

VOXEL_M = 0.05


@pytest.fixture(scope="module")
def surface():
    """Blocks below and above zero, with random voxels, a third of them unknown."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.tensor([[0, 0, -1], [-2, 1, -1], [0, 0, 0], [3, 0, 0], [0, 0, 1]])
    values = torch.rand((len(keys), BLOCK_VOXELS, 4), generator=generator)
    values[..., 0] = 2 * values[..., 0] - 1
    values[..., 2] = (values[..., 2] > 1 / 3).float()
    surface = SurfaceMap(BlockGrid(n_channels(1), VOXEL_M), TranslatorNetwork(1, width=1))
    surface.latent.allocate(keys)
    surface.grid.set_blocks(keys, values)
    return surface


@pytest.mark.parametrize(("height_m", "layer"), [(0.0, 0), (0.049, 0), (0.05, 1), (0.15, 3), (-0.01, -1), (0.41, 8)])
def test_a_slice_is_the_layer_that_holds_its_height(surface, height_m, layer):
    every, found = surface.surface_voxels(), tsdf_slice(surface, height_m)
    inside = np.isclose(every.positions_m[:, 2], (layer + 0.5) * VOXEL_M)
    assert len(found.tsdf_m) == inside.sum() > 20
    for ours, all_of_them in zip(vars(found).values(), vars(every).values(), strict=True):
        np.testing.assert_array_equal(ours, all_of_them[inside])


def test_a_height_that_the_map_does_not_reach_has_nothing(surface):
    found = tsdf_slice(surface, 50.0)
    assert found.positions_m.shape == (0, 3) and len(found.tsdf_m) == len(found.weight) == len(found.occupancy) == 0
