# SPDX-License-Identifier: Apache-2.0
"""What a voxel of the latent map holds: evidence and a latent vector side by side.

Signed distances are in truncations: +1 is one truncation distance in front of the surface, -1 one behind.
All channels are means or weights, so that they fit into half precision.
"""

from __future__ import annotations

import torch

WEIGHT = 0  # accumulated confidence of observations inside the truncation band
MEAN = 1  # their weighted mean signed distance
VARIANCE = 2  # their weighted variance
FREE = 3  # frames that looked through the voxel
LATENT = slice(4, None)  # weighted mean of the update vectors
N_EVIDENCE = 4

EVIDENCE_FEATURES = 6


def n_channels(latent_channels: int) -> int:
    """Numbers per voxel of a map with this latent dimension."""
    return N_EVIDENCE + latent_channels


def state_features(state: torch.Tensor) -> torch.Tensor:
    """(..., 4 + L) states to (..., 6 + L) network inputs of order one; an untouched voxel gives zeros.

    Depends on the voxel alone, never on other voxels or on the size of the map.
    """
    return torch.stack((*evidence_features(state), *state[..., LATENT].unbind(-1)), dim=-1)


def evidence_features(state: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The EVIDENCE_FEATURES among state_features, each a tensor of its own."""
    weight, mean, variance, free = state[..., :N_EVIDENCE].unbind(-1)
    seen = weight + free
    free_share = free / seen.clamp(min=1e-2)
    return (
        torch.log1p(weight) / 3,
        mean,
        mean * (1 - free_share) + free_share,  # as if every free vote had measured one truncation
        torch.log1p(free) / 3,
        variance.clamp(min=0).add(1e-6).sqrt() - 1e-3,
        free_share,
    )
