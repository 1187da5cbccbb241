# SPDX-License-Identifier: Apache-2.0
"""What the map holds at points of its surface, and that its uncertainty tells where it is wrong."""

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
import torch

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.mapping import Mapper, MapSettings, load_model
from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.surface_evidence import evidence_at, uncertainty
from neuralfusion_ros.mapping.voxel_state import N_EVIDENCE, n_channels
from neuralfusion_ros.training.scenes import random_room


def state(weight, mean=0.0, variance=0.0, free=0.0, latent=(0.0, 0.0)):
    return torch.tensor([weight, mean, variance, free, *latent])


@pytest.mark.parametrize(
    ("sure", "unsure"),
    [
        (state(10), state(2)),
        (state(10, variance=0.01), state(10, variance=0.04)),
        (state(10), state(10, free=5)),
        (state(10, mean=0.9, free=5), state(10, free=5)),
        (state(1), state(0)),
    ],
    ids=["fewer frames", "they disagree", "others looked through", "but not just in front", "nothing known"],
)
def test_what_makes_a_surface_uncertain(sure, unsure):
    assert uncertainty(unsure) > 1.1 * uncertainty(sure)


def test_uncertainty_is_the_standard_error_in_voxels():
    assert uncertainty(state(0)) == pytest.approx(1)  # a voxel, before anything is known
    many = uncertainty(state(400, variance=0.04))
    assert many == pytest.approx(4 * 0.2 / 20, rel=0.01)
    assert uncertainty(torch.stack([state(0), state(400)]).reshape(1, 2, -1)).shape == (1, 2)


def test_evidence_changes_smoothly_between_the_centres_of_voxels():
    grid = BlockGrid(n_channels(2), 0.1, dtype=torch.float32)
    grid.allocate(torch.tensor([[-1, 0, 0], [0, 0, 0]]))
    left, right = (int(grid.find(torch.tensor([x, 0, 0]))) for x in (-1, 0))
    for row, x, values in ((left, 7, state(4, latent=(1, 0))), (right, 0, state(12, latent=(0, 1)))):
        grid.values[row].view(8, 8, 8, N_EVIDENCE + 2)[x, 2, 3] = values
    x_m = np.array([-0.05, 0.0, 0.05])
    found = evidence_at(grid, np.stack((x_m, np.full(3, 0.25), np.full(3, 0.35)), axis=1))
    np.testing.assert_allclose(found.weight, [4, 8, 12], rtol=1e-4)
    assert found.latent == pytest.approx(np.array([[1, 0], [0.25, 0.75], [0, 1]]), abs=1e-4)
    assert found.uncertainty[1] == pytest.approx((found.uncertainty[0] + found.uncertainty[2]) / 2, rel=1e-4)
    nothing = evidence_at(grid, np.array([[9.0, 9.0, 9.0]]))
    assert (nothing.weight[0], nothing.uncertainty[0], *nothing.latent[0]) == (0, 1, 0, 0)


def test_where_the_map_is_unsure_it_is_wrong_by_more():
    """A noisy recording of a room whose surface is known."""
    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
    for frame in demo_frames(12):
        mapper.integrate(frame.depth_m, frame.T_world_camera, CAMERA)
    vertices = mapper.mesh().vertices
    room_vertices, room_triangles = random_room(8).mesh()
    room = o3d.t.geometry.RaycastingScene()
    room.add_triangles(o3d.core.Tensor(room_vertices), o3d.core.Tensor(room_triangles))
    error_m = room.compute_distance(o3d.core.Tensor(vertices)).numpy()
    unsure = evidence_at(mapper.grid, vertices).uncertainty
    quarters = [error_m[part].mean() for part in np.array_split(np.argsort(unsure), 4)]
    assert quarters == sorted(quarters) and quarters[3] > 2 * quarters[0], quarters
