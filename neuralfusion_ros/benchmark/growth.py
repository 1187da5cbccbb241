# SPDX-License-Identifier: Apache-2.0
"""The cost of the same frame in maps of different size: it must not grow."""

from __future__ import annotations

import torch

from neuralfusion_ros.benchmark.fusing import FRAME, LearnedContestant
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.settings import MapSettings

_ROUNDS = 15
_LAYERS = 4  # what fills the map lies in layers beside the scene, as the floors of a building do


def time_growth(
    frame: Frame, camera: PinholeCamera, model: LatentModel, settings: MapSettings, device: torch.device,
    compiled: bool, sizes: tuple[int, ...],
) -> dict[int, float]:  # fmt: skip
    """Median milliseconds of the frame, by the number of blocks in the map. One turn of every size, in turns."""
    maps = {}
    for size in sizes:
        mapper = maps[size] = LearnedContestant(model, settings, device, compiled)
        mapper.integrate(frame, camera)
        filling = size - mapper.grid.n_blocks
        if filling > 0:
            mapper.grid.allocate(_elsewhere(mapper.grid.keys, filling))
        mapper.integrate(frame, camera)
        mapper.stages.ms.clear()
    for _ in range(_ROUNDS):
        for mapper in maps.values():
            mapper.integrate(frame, camera)
    return {mapper.grid.n_blocks: mapper.stages.percentile(FRAME, 50) for mapper in maps.values()}


def _elsewhere(keys: torch.Tensor, count: int) -> torch.Tensor:
    """(count, 3) blocks in layers that begin beyond the given ones."""
    side = int((count / _LAYERS) ** 0.5) + 1
    axis = torch.arange(side, device=keys.device)
    layers = 8 * torch.arange(_LAYERS, device=keys.device)
    block = torch.cartesian_prod(layers, axis, axis)[:count]
    return block + keys.amax(dim=0) + 2
