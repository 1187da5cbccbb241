# SPDX-License-Identifier: Apache-2.0
"""Maps in training become as old as those on a robot that stands still."""

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT
from neuralfusion_ros.training.growing_map import GrowingMap
from neuralfusion_ros.training.sequences import NoisyStream


def test_streams_feed_maps_of_all_ages(wall_tour):
    weights = [NoisyStream(wall_tour, np.random.default_rng(seed)).max_weight for seed in range(50)]
    assert 3 <= min(weights) < 5 and 45 < max(weights) <= 64


@torch.no_grad()
def test_evidence_is_capped_at_the_weight_of_the_stream(wall_tour):
    stream = NoisyStream(wall_tour, np.random.default_rng(0))
    stream.max_weight = 3.0
    growing = GrowingMap(stream, LatentModel(Architecture(2, 8, 8)))
    growing.integrate(stream.take(6))
    evidence = growing.grid.values[..., WEIGHT] + growing.grid.values[..., FREE]
    assert float(evidence.max()) == pytest.approx(3.0, abs=0.01)
