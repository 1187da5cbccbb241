# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.latent_colours import fit_colours, latents_at, surface_latents
from neuralfusion_ros.mapping.voxel_state import FREE, N_EVIDENCE, WEIGHT, n_channels


def test_the_main_direction_becomes_red():
    rng = np.random.default_rng(0)
    latent = (rng.standard_normal((5000, 4)) * [0.1, 3.0, 0.5, 1.0] + 7).astype(np.float32)
    fitted = fit_colours(latent)
    assert np.abs(fitted.directions[1, 0]) == pytest.approx(1, abs=0.01)
    assert fitted.explained[0] == pytest.approx(9 / 10.26, abs=0.02)
    colours = fitted.colours(latent)
    assert np.corrcoef(colours[:, 0], latent[:, 1])[0, 1] > 0.95
    assert colours.min() == 0 and colours.max() == 1
    np.testing.assert_allclose(fitted.colours(latent[:, [0, 1, 2, 3]]), colours)


@pytest.mark.parametrize("channels", [1, 2])
def test_short_vectors_leave_colours_grey(channels):
    latent = np.random.default_rng(1).standard_normal((200, channels)).astype(np.float32)
    colours = fit_colours(latent).colours(latent)
    assert colours.shape == (200, 3)
    assert (colours[:, channels:] == 0.5).all()
    assert np.ptp(colours[:, 0]) > 0.9


def test_latents_are_those_of_the_voxel_that_holds_the_point():
    grid = BlockGrid(n_channels(2), 0.1, dtype=torch.float32)
    grid.allocate(torch.tensor([[0, 0, 0], [-1, 0, 0]]))
    row = int(grid.find(torch.tensor([-1, 0, 0])))
    voxel = (7 * 8 + 2) * 8 + 3  # x = -0.1..0, y = 0.2..0.3, z = 0.3..0.4
    grid.values[row, voxel, WEIGHT] = 5
    grid.values[row, voxel, FREE] = 2
    grid.values[row, voxel, N_EVIDENCE:] = torch.tensor([1.0, -2.0])
    found = latents_at(grid, np.array([[-0.05, 0.21, 0.39], [-0.05, 0.31, 0.39], [9.0, 9.0, 9.0]]))
    assert found.latent.tolist() == [[1, -2], [0, 0], [0, 0]]
    assert found.weight.tolist() == [5, 0, 0]
    assert found.free.tolist() == [2, 0, 0]
    assert surface_latents(grid).tolist() == [[1, -2]]
