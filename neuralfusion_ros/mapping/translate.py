# SPDX-License-Identifier: Apache-2.0
"""Step 4, translate: a second network reads the states of a neighbourhood and decides what is surface.

It starts from the running means, which are a TSDF, and learns everything beyond that.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.voxel_state import EVIDENCE_FEATURES, MEAN, WEIGHT, state_features

HALO = 2  # voxels around a block that its translation depends on
_CARVED_MEAN_FEATURE = 2
_BLOCKS_AT_ONCE = 128


class TranslatorNetwork(nn.Module):
    """3x3x3 convolution plus the same dilated by 2, then two layers per voxel; about 30 thousand MACs per voxel.

    latent_channels: L of the map. width: channels of the hidden layers.
    """

    def __init__(self, latent_channels: int, width: int = 32) -> None:
        super().__init__()
        features = EVIDENCE_FEATURES + latent_channels
        self.near = nn.Conv3d(features, width, 3)
        self.far = nn.Conv3d(features, width, 3, dilation=2, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(width + features, width) for _ in range(2))
        self.heads = nn.Linear(width, 3)
        with torch.no_grad():
            self.heads.weight.mul_(0.1)  # training starts at the TSDF of the running means
            self.heads.bias.zero_()

    def translate_blocks(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 12, 12, 12, C) states of blocks with their halo to TSDF in truncations and occupancy, (B, 512) each."""
        features = state_features(states.float())
        volume = features.permute(0, 4, 1, 2, 3).contiguous()
        context = self.near(volume[:, :, 1:-1, 1:-1, 1:-1]) + self.far(volume)
        inner = slice(HALO, -HALO)
        centre = states[:, inner, inner, inner].reshape(len(states) * BLOCK_VOXELS, -1).float()
        context = context.permute(0, 2, 3, 4, 1).reshape(len(centre), -1)
        tsdf, occupancy_logit = self._decide(context, centre)
        return tsdf.reshape(-1, BLOCK_VOXELS), torch.sigmoid(occupancy_logit).reshape(-1, BLOCK_VOXELS)

    def forward(self, near: torch.Tensor, far: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States around Q voxels, (Q, 27, C) each, to TSDF in truncations and occupancy logit, (Q,) each.

        near: the 3x3x3 neighbourhood; far: the same at twice the spacing. Equal to translate_blocks, for single voxels.
        """
        context = self._gathered(self.near, near) + self._gathered(self.far, far)
        return self._decide(context, near[:, 13])

    @staticmethod
    def _gathered(convolution: nn.Conv3d, states: torch.Tensor) -> torch.Tensor:
        inputs = state_features(states).transpose(1, 2).reshape(len(states), -1)
        return F.linear(inputs, convolution.weight.reshape(len(convolution.weight), -1), convolution.bias)

    def _decide(self, context: torch.Tensor, centre: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = state_features(centre)
        hidden = F.gelu(context)
        for layer in self.hidden:
            hidden = F.gelu(layer(torch.cat((hidden, features), dim=-1)))
        delta, occupancy_logit, gate = self.heads(hidden).unbind(-1)
        carved_mean = features[:, _CARVED_MEAN_FEATURE]
        band_mean = torch.where(centre[:, WEIGHT] > 0, centre[:, MEAN], carved_mean)
        base = torch.lerp(carved_mean, band_mean, torch.sigmoid(gate)).clamp(-0.98, 0.98)
        return torch.tanh(torch.atanh(base) + delta), occupancy_logit


@torch.no_grad()
def translate(
    translator: TranslatorNetwork, latent: BlockGrid, keys: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Translates the (N, 3) blocks of a latent map, a few at a time: (keys, TSDF in truncations, occupancy)."""
    for some in keys.split(_BLOCKS_AT_ONCE) if len(keys) else ():
        yield some, *translator.translate_blocks(states_with_halo(latent, some))


def states_with_halo(latent: BlockGrid, keys: torch.Tensor) -> torch.Tensor:
    """(B, 3) block coordinates to (B, 12, 12, 12, C) states, 0 where the map has no block."""
    steps = torch.arange(-1, 2, device=latent.device)
    neighbours = latent.find(keys[:, None] + torch.cartesian_prod(steps, steps, steps))
    axis = torch.arange(-HALO, BLOCK_SIZE + HALO, device=latent.device)
    block, voxel = torch.div(axis, BLOCK_SIZE, rounding_mode="floor") + 1, axis % BLOCK_SIZE
    size = len(axis)
    neighbour_of = (block[:, None, None] * 3 + block[:, None]) * 3 + block
    voxel_of = (voxel[:, None, None] * BLOCK_SIZE + voxel[:, None]) * BLOCK_SIZE + voxel
    rows = neighbours[:, neighbour_of.reshape(-1)]
    flat = latent.values.reshape(-1, latent.channels)
    states = flat[rows.clamp(min=0) * BLOCK_VOXELS + voxel_of.reshape(-1)]
    states[rows < 0] = 0
    return states.reshape(len(keys), size, size, size, latent.channels)
