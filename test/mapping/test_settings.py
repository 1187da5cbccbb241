# SPDX-License-Identifier: Apache-2.0
"""Settings that make no sense are refused with the reason."""

import math

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.integrate import VoxelUpdates, integrate
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"voxel_size_m": 0.0}, "voxel size"),
        ({"voxel_size_m": -0.02}, "voxel size"),
        ({"voxel_size_m": 2.0}, "voxel size"),
        ({"voxel_size_m": math.nan}, "voxel size"),
        ({"min_depth_m": -1.0}, "depth"),
        ({"min_depth_m": 5.0, "max_depth_m": 5.0}, "depth"),
        ({"min_depth_m": math.nan}, "depth"),
        ({"max_depth_m": math.nan}, "depth"),
        ({"max_weight": 0.5}, "max_weight"),
        ({"max_weight": math.nan}, "max_weight"),
        ({"max_bytes": 1000}, "1 MiB"),
        ({"radius_m": 4.0}, "radius"),
        ({"radius_m": -1.0}, "radius"),
        ({"radius_m": math.nan}, "radius"),
        ({"bounds_m": ((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))}, "bounds"),
        ({"bounds_m": ((0.0, 0.0, math.nan), (1.0, 1.0, 1.0))}, "bounds"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        MapSettings(**wrong)


def test_defaults_and_limits_are_accepted():
    MapSettings()
    MapSettings(voxel_size_m=0.001, min_depth_m=0.0, max_depth_m=100.0, max_weight=1.0, max_bytes=1 << 20)
    MapSettings(radius_m=5.0, evict=True)
    MapSettings(bounds_m=((-math.inf, -math.inf, -0.1), (math.inf, math.inf, 2.0)))


@pytest.mark.parametrize("max_weight", [64.0, 1000.0, 3000.0])
def test_the_map_can_forget_at_every_accepted_cap(max_weight):
    """Half precision counts frames one by one up to 2048 only."""
    try:
        cap = MapSettings(max_weight=max_weight).max_weight
    except ValueError:
        return
    grid = BlockGrid(5, 0.05)
    grid.allocate(torch.zeros((1, 3), dtype=torch.int64))
    grid.values[0, 0, WEIGHT], grid.values[0, 0, FREE] = 0.3 * cap, 0.7 * cap
    none, empty = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    look_through = VoxelUpdates(none, empty, empty, torch.zeros(0, 1), torch.tensor([0]))
    for _ in range(int(cap / 2)):
        integrate(grid, look_through, cap)
    assert float(grid.values[0, 0, WEIGHT]) < 0.2 * cap
