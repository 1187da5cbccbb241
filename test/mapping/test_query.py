# SPDX-License-Identifier: Apache-2.0
"""Questions about points.

A stand-in for the translator passes the running mean of a voxel on as its TSDF, so that shapes can be set directly.
"""

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, read_states, voxel_rows
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN, QueryResult, query
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, WEIGHT, n_channels

VOXEL_M = 0.05
TRUNCATION_M = TRUNCATION_VOXELS * VOXEL_M
LATENT_CHANNELS = 1


class PassOn(TranslatorNetwork):
    """TSDF: the running mean of the voxel, growing upwards inside it. Occupancy: that of its latent number."""

    def forward(self, near: torch.Tensor, far: torch.Tensor, offset: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return near[:, 13, MEAN] + offset[:, 2] / TRUNCATION_VOXELS, near[:, 13, 4]


def ask(latent: BlockGrid, points: np.ndarray) -> QueryResult:
    return query(latent, PassOn(LATENT_CHANNELS, width=1), points)


def centres(latent: BlockGrid) -> torch.Tensor:
    """(n_blocks, 512, 3) centres of voxels in voxels."""
    return latent.keys[:, None] * BLOCK_SIZE + voxel_offsets() + 0.5


def cube_of_blocks(low: int, high: int) -> BlockGrid:
    latent = BlockGrid(n_channels(LATENT_CHANNELS), VOXEL_M)
    latent.allocate(torch.cartesian_prod(*[torch.arange(low, high)] * 3))
    return latent


def set_distance(latent: BlockGrid, distance_voxels: torch.Tensor) -> None:
    """Everything seen once at this distance."""
    latent.values.zero_()
    latent.values[..., WEIGHT] = 1
    latent.values[..., MEAN] = (distance_voxels / TRUNCATION_VOXELS).clamp(-1, 1).half()


def sphere() -> BlockGrid:
    latent = cube_of_blocks(-4, 4)
    set_distance(latent, (centres(latent) - torch.tensor((0.3, -0.2, 0.6))).norm(dim=-1) - 18.4)
    return latent


def test_points_are_free_occupied_or_unknown():
    latent = sphere()
    hidden = centres(latent)[..., 0] > 24
    latent.values[hidden] = 0
    centre = np.array([0.3, -0.2, 0.6]) * VOXEL_M
    free, inside = centre + [0, 0, 20.4 * VOXEL_M], centre - [0, 17.4 * VOXEL_M, 0]
    points = np.stack([free, inside, [25.5 * VOXEL_M, 0.0, 0.0], [100.0, 0.0, 0.0], [-1e7, 0.0, 0.0]])
    answer = ask(latent, points)
    assert answer.state.tolist() == [FREE_SPACE, OCCUPIED, UNKNOWN, UNKNOWN, UNKNOWN]
    assert answer.tsdf_m[:2] == pytest.approx([2 * VOXEL_M, -1 * VOXEL_M], abs=0.9 * VOXEL_M)
    assert answer.known.tolist() == [True, True, False, False, False]
    assert np.isnan(answer.tsdf_m[2:]).all()
    assert answer.occupancy[2:].tolist() == [0.5, 0.5, 0.5]


def test_a_question_is_answered_where_the_point_lies_in_its_voxel():
    latent = cube_of_blocks(-1, 1)
    generator = torch.Generator().manual_seed(0)
    latent.values[..., WEIGHT] = 1
    latent.values[..., MEAN] = (torch.rand((8, BLOCK_VOXELS), generator=generator) * 2 - 1).half()
    voxels = torch.randint(-8, 8, (200, 3), generator=generator)
    points = (voxels + torch.rand((200, 3), generator=generator) * 0.98 + 0.01).double().numpy() * VOXEL_M
    above_centre_m = points[:, 2] - (voxels[:, 2].numpy() + 0.5) * VOXEL_M
    expected = read_states(latent, voxel_rows(latent, voxels))[:, MEAN].numpy() * TRUNCATION_M + above_centre_m
    np.testing.assert_allclose(ask(latent, points).tsdf_m, expected, atol=1e-6)


def test_a_point_that_was_only_looked_through_is_free():
    latent = cube_of_blocks(0, 1)
    latent.values[..., FREE] = 1
    latent.values[..., MEAN] = 1
    answer = ask(latent, np.full((1, 3), 0.1))
    assert answer.state.tolist() == [FREE_SPACE]


@pytest.mark.parametrize("point", [np.nan, np.inf, -np.inf, 1e300])
def test_impossible_points_are_unknown(point):
    answer = ask(sphere(), np.array([[point, 0.0, 0.0], [0.0, 0.0, point]]))
    assert answer.state.tolist() == [UNKNOWN, UNKNOWN]


def test_points_around_the_world_are_unknown():
    """Coordinates beyond the range of block keys must not be taken for near ones."""
    latent = cube_of_blocks(-1, 2)
    set_distance(latent, torch.ones(latent.n_blocks, BLOCK_VOXELS))
    turn_m = 2**21 * BLOCK_SIZE * VOXEL_M
    points = np.array([[0.1, 0.1, 0.1 + turn_m], [0.1, 0.1 - turn_m, 0.1], [0.1 + turn_m, 0.1, 0.1]])
    assert ask(latent, points).state.tolist() == [UNKNOWN] * 3


def test_an_empty_map_and_no_points():
    empty = BlockGrid(n_channels(LATENT_CHANNELS), VOXEL_M)
    assert ask(empty, np.zeros((2, 3))).state.tolist() == [UNKNOWN, UNKNOWN]
    assert ask(empty, np.zeros((0, 3))).tsdf_m.shape == (0,)
    assert ask(sphere(), np.zeros((0, 3))).state.shape == (0,)


@pytest.mark.parametrize("points", [np.zeros(3), np.zeros((2, 2)), np.zeros((1, 2, 3)), 1.0])
def test_points_of_another_shape_are_refused(points):
    with pytest.raises(ValueError, match=r"points must be \(N, 3\)"):
        ask(sphere(), points)
