# SPDX-License-Identifier: Apache-2.0
"""What a map holds at the vertices of its mesh, and how sure it is of the surface there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, read_states, voxel_rows
from neuralfusion_ros.mapping.voxel_state import FREE, LATENT, MEAN, VARIANCE, WEIGHT

Floats = npt.NDArray[np.float32]
# Before it was measured at all, a surface counts as measured once, with an error of a voxel.
_PRIOR_WEIGHT, _PRIOR_VARIANCE = 1.0, 1 / TRUNCATION_VOXELS**2


@dataclass(frozen=True, eq=False)
class SurfaceEvidence:
    """At N points. weight: (N,) of surface, see docs/conventions.md. uncertainty: (N,) in voxels. latent: (N, L)."""

    weight: Floats
    uncertainty: Floats
    latent: Floats


def evidence_at(grid: BlockGrid, points: npt.NDArray[np.floating]) -> SurfaceEvidence:
    """Reads the eight voxels around each of (N, 3) world points in metres, near ones more than far ones.

    So two chunks of a mesh agree on the border that they share. Latent vectors count by their weight too.
    """
    in_voxels = torch.as_tensor(points, dtype=torch.float64, device=grid.device) / grid.voxel_size_m - 0.5
    low = torch.floor(in_voxels)
    beyond = (in_voxels - low).float()[:, None]
    corners = torch.cartesian_prod(*[torch.arange(2, device=grid.device)] * 3)
    states = read_states(grid, voxel_rows(grid, low.to(torch.int64)[:, None] + corners))
    share = torch.where(corners > 0, beyond, 1 - beyond).prod(dim=-1)
    weights = share * states[..., WEIGHT]
    weight = weights.sum(dim=1)
    latent = (weights[..., None] * states[..., LATENT]).sum(dim=1) / weight.clamp(min=1e-6)[:, None]
    unsure = (share * uncertainty(states)).sum(dim=1)
    return SurfaceEvidence(weight.cpu().numpy(), unsure.cpu().numpy(), latent.cpu().numpy())


def uncertainty(states: torch.Tensor) -> torch.Tensor:
    """(..., C) states of voxels to (...) standard errors of their mean signed distance, in voxels.

    Large where few frames measured a surface, where they did not agree, or where others looked through it: a vote for
    free space counts as a measured distance of one truncation. What all frames got wrong alike does not show.
    """
    weight, mean, free = states[..., WEIGHT], states[..., MEAN], states[..., FREE]
    count = weight + free
    # Sums of squares: of the measurements around their mean, and between these and the votes.
    within = weight * states[..., VARIANCE].clamp(min=0)
    between = weight * free / count.clamp(min=1e-6) * (1 - mean) ** 2
    count = count + _PRIOR_WEIGHT
    variance = (within + between + _PRIOR_WEIGHT * _PRIOR_VARIANCE) / count
    return TRUNCATION_VOXELS * (variance / count).sqrt()
