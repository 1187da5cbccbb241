# SPDX-License-Identifier: Apache-2.0
"""Step 4, translate: a second network reads the states of a neighbourhood and decides what is surface.

It starts from the running means, which are a TSDF, and learns everything beyond that.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid, blocks_around
from neuralfusion_ros.mapping.extract import read_states, voxel_rows
from neuralfusion_ros.mapping.voxel_state import EVIDENCE_FEATURES, WEIGHT, state_features

HALO = 2  # voxels around a block that its translation depends on
_BASE_FEATURES = (0, 1, 2)  # weight, mean, and mean with free space counted
_CENTRE = 13  # of 3x3x3 voxels
_SELF_AND_SIX = [4, 10, 12, 13, 14, 16, 22]  # it and the voxels that share a side with it
FREE_SPACE = (1.0, 0.0)  # TSDF and occupancy
_POINTS_AT_ONCE = 1 << 15


class Surroundings(NamedTuple):
    """What the network knows of the voxels that it is asked about, before it decides.

    asked: (n,) their numbers among the B * 512 of B blocks. context: (n, width) of their neighbourhoods. centre: (n, F)
    state_features of their own.
    """

    asked: torch.Tensor
    context: torch.Tensor
    centre: torch.Tensor


class TranslatorNetwork(nn.Module):
    """3x3x3 convolution plus the same dilated by 2, then two layers per point; about 30 thousand MACs per voxel.

    The later layers also take the offset of the point from the voxel's centre, in voxels, each in [-0.5, 0.5], so that
    the map can be asked anywhere and meshed more finely than it is stored. What they do with it (`inside`) has weights
    of its own and no say at the centre.
    latent_channels: L of the map. width: channels of the hidden layers.
    """

    def __init__(self, latent_channels: int, width: int = 32) -> None:
        super().__init__()
        features = EVIDENCE_FEATURES + latent_channels
        self.width = width
        self.near = nn.Conv3d(features, width, 3)
        self.far = nn.Conv3d(features, width, 3, dilation=2, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(width + features, width) for _ in range(2))
        self.heads = nn.Linear(width, 3)
        self.inside = _Inside(width, len(self.hidden))
        with torch.no_grad():
            self.heads.weight.mul_(0.1)  # training starts at the TSDF of the running means
            self.heads.bias.zero_()

    def surroundings(self, states: torch.Tensor, wanted: torch.Tensor) -> Surroundings:
        """What both convolutions make of (B, 12, 12, 12, C) blocks with their halo, for voxels in (B, 512) bool."""
        features = state_features(states.float())
        volume = features.permute(0, 4, 1, 2, 3)  # channels last: the fastest layout, and no copy
        context = self.near(volume[:, :, 1:-1, 1:-1, 1:-1]) + self.far(volume)
        inner = slice(HALO, -HALO)
        asked = asked_in_blocks(states[..., WEIGHT] > 0).reshape(-1) & wanted.reshape(-1)
        asked = asked.nonzero().squeeze(-1)
        context = context.permute(0, 2, 3, 4, 1).reshape(len(states) * BLOCK_VOXELS, -1)
        centre = features[:, inner, inner, inner].reshape(len(context), -1)
        return Surroundings(asked, F.gelu(context.index_select(0, asked)), centre.index_select(0, asked))

    def forward(self, near: torch.Tensor, far: torch.Tensor, offset: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """TSDF in truncations and occupancy logit, (Q,) each, at one point of each of Q voxels.

        near: (Q, 27, C) states of the 3x3x3 neighbourhood. far: the same at twice the spacing. offset: (Q, 3).
        For voxels that are asked about equal to what the blocks give.
        """
        near_features, far_features = state_features(near), state_features(far)
        context = _gathered(self.near, near_features) + _gathered(self.far, far_features)
        return self.decide(F.gelu(context), near_features[:, _CENTRE], offset)

    def decide(
        self, context: torch.Tensor, features: torch.Tensor, offset: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """TSDF in truncations and occupancy logit, (n,) each, from (n, width) and (n, F) of Surroundings.

        offset: (3,) or (n, 3) of the point from its voxel's centre, in voxels.
        """
        hidden = context
        for layer, shift in zip(self.hidden, self.inside.shifts, strict=True):
            hidden = F.gelu(layer(torch.cat((hidden, features), dim=-1)) + shift(offset))
        delta, occupancy_logit, gate = self.heads(hidden).unbind(-1)
        weight, mean, carved_mean = (features[:, k] for k in _BASE_FEATURES)
        band_mean = torch.where(weight > 0, mean, carved_mean)
        base = torch.lerp(carved_mean, band_mean, torch.sigmoid(gate)).clamp(-0.98, 0.98)
        change = (self.inside.slope(hidden) * offset).sum(-1)
        return torch.tanh(torch.atanh(base) + delta + change), occupancy_logit


def asked_in_blocks(measured: torch.Tensor) -> torch.Tensor:
    """Which voxels the network is asked about: some frame measured a surface near them or near one of six neighbours.

    All others are free, or unknown. A surface passes only between voxels that are asked about.
    measured: (B, 12, 12, 12) bool of blocks with their halo. Returns (B, 8, 8, 8).
    """
    inner = slice(HALO, -HALO)
    asked = measured[:, inner, inner, inner].clone()
    for axis in range(3):
        for first in (HALO - 1, HALO + 1):
            window = [slice(None), inner, inner, inner]
            window[axis + 1] = slice(first, first + BLOCK_SIZE)
            asked |= measured[tuple(window)]
    return asked


def _gathered(convolution: nn.Conv3d, features: torch.Tensor) -> torch.Tensor:
    """The convolution at the middle of each of Q neighbourhoods of (27, F) features."""
    inputs = features.transpose(1, 2).reshape(len(features), -1)
    return F.linear(inputs, convolution.weight.reshape(len(convolution.weight), -1), convolution.bias)


class _Inside(nn.Module):
    """How signed distance and occupancy change inside a voxel: shifts of the layers, and a slope of the distance."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.shifts = nn.ModuleList(nn.Linear(3, width, bias=False) for _ in range(layers))
        self.slope = nn.Linear(width, 3)
        with torch.no_grad():
            self.slope.weight.mul_(0.1)
            self.slope.bias.zero_()


@torch.no_grad()
def translate_points(
    translator: TranslatorNetwork, latent: BlockGrid, voxels: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """TSDF in truncations and occupancy, (N,) each, at one point of each of (N, 3) voxels.

    offsets: (N, 3) from the voxel's centre, in voxels.
    """
    axis = torch.arange(-1, 2, device=latent.device)
    around = torch.cartesian_prod(axis, axis, axis)
    parts = []
    for some, offset in zip(voxels.split(_POINTS_AT_ONCE), offsets.split(_POINTS_AT_ONCE), strict=True):
        near, far = (read_states(latent, voxel_rows(latent, some[:, None] + step * around)) for step in (1, 2))
        tsdf, occupancy_logit = translator(near, far, offset)
        asked = (near[:, _SELF_AND_SIX, WEIGHT] > 0).any(-1)  # as asked_in_blocks
        parts.append(
            [torch.where(asked, *part) for part in zip((tsdf, torch.sigmoid(occupancy_logit)), FREE_SPACE, strict=True)]
        )
    tsdf, occupancy = (torch.cat(part) for part in zip(*parts, strict=True))
    return tsdf, occupancy


def states_with_halo(latent: BlockGrid, keys: torch.Tensor) -> torch.Tensor:
    """(B, 3) block coordinates to (B, 12, 12, 12, C) states, 0 where the map has no block."""
    neighbours = latent.find(blocks_around(keys))
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
