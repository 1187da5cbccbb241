# SPDX-License-Identifier: Apache-2.0
"""The running mean of a voxel written as sums, whose gradient is exact and cheap.

Below the weight cap the state of a voxel after any number of frames is a fixed function of sums over its updates.
So a loss on the final map reaches every frame without storing the maps in between. At the cap, where the latest frames
count a little more than this says, the gradient is that of a map without one.
"""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.integrate import VoxelUpdates
from neuralfusion_ros.mapping.voxel_state import FREE, LATENT, MEAN, VARIANCE, WEIGHT

_LEAST_WEIGHT = 1e-2


def sums_of(state: torch.Tensor) -> torch.Tensor:
    """(N, C) states to (N, C) sums: weight, w*d, w*d^2, free votes, w*vector."""
    weight = state[:, WEIGHT]
    second = state[:, VARIANCE] + state[:, MEAN] ** 2
    evidence = torch.stack((weight, weight * state[:, MEAN], weight * second, state[:, FREE]), dim=-1)
    return torch.cat((evidence, weight[:, None] * state[:, LATENT]), dim=-1)


def state_of(sums: torch.Tensor) -> torch.Tensor:
    """(..., C) sums to (..., C) states; the inverse of sums_of."""
    weight = sums[..., WEIGHT]
    means = sums / weight.clamp(min=_LEAST_WEIGHT)[..., None]
    mean = means[..., MEAN]
    variance = (means[..., VARIANCE] - mean**2).clamp(min=0)
    evidence = torch.stack((weight, mean, variance, sums[..., FREE]), dim=-1)
    return torch.cat((evidence, means[..., LATENT]), dim=-1)


def summands(updates: VoxelUpdates) -> torch.Tensor:
    """(M, C) what the updates of a frame add to the sums of their voxels."""
    weight, distance = updates.weight, updates.signed_distance
    evidence = torch.stack((weight, weight * distance, weight * distance**2, torch.zeros_like(weight)), dim=-1)
    return torch.cat((evidence, weight[:, None] * updates.vectors), dim=-1)


class DifferentiableMap:
    """The values of a map after some frames, with the gradient of those frames' updates.

    values: (N, C) the flattened map after the updates, without gradient. updates: of the last frames, in any order.
    """

    def __init__(self, values: torch.Tensor, updates: list[VoxelUpdates]) -> None:
        rows = torch.cat([update.rows for update in updates])
        touched = torch.zeros(len(values) + 1, dtype=torch.bool, device=values.device)
        touched[rows] = True
        self._compact = torch.cumsum(touched, 0) - 1
        self._compact[~touched] = -1
        sums = sums_of(values[touched[:-1]].float())
        added = torch.cat([summands(update) for update in updates])
        # The values hold the updates already: only their gradient is added.
        sums = sums.index_add(0, self._compact[rows], added - added.detach())
        self._touched_states = state_of(sums)
        self._values = values

    def states(self, rows: torch.Tensor) -> torch.Tensor:
        """(...) rows, -1 for no voxel, to (..., C) states; those touched by the updates carry gradient."""
        flat = rows.reshape(-1)
        states = self._values.index_select(0, flat.clamp(min=0)).float() * (flat >= 0)[:, None]
        compact = self._compact[flat]  # row -1 reads the last entry, which is never touched
        inside = (compact >= 0).nonzero().squeeze(-1)
        carried = self._touched_states.index_select(0, compact[inside])
        return states.index_copy(0, inside, carried).reshape(*rows.shape, states.shape[-1])
