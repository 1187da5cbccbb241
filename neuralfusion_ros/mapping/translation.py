# SPDX-License-Identifier: Apache-2.0
"""Blocks of one latent map through the translator, in plain torch: the reference, and what a GPU runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.compiled import check_can_compile
from neuralfusion_ros.mapping.translate import FREE_SPACE, TranslatorNetwork, states_with_halo


class Translation:
    """subdivision: points per voxel and axis."""

    blocks_at_once: ClassVar[int] = 32  # more leave the cache of a processor

    def __init__(self, network: TranslatorNetwork, latent: BlockGrid, subdivision: int = 1) -> None:
        self.network, self.latent = network, latent
        steps = (torch.arange(subdivision, device=latent.device) + 0.5) / subdivision - 0.5
        self._offsets = torch.cartesian_prod(steps, steps, steps)

    @torch.no_grad()
    def __call__(
        self, keys: torch.Tensor, wanted: torch.Tensor | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Translates (N, 3) blocks, a few at a time: (keys, TSDF in truncations, occupancy).

        The results are (B, 512, subdivision^3), points in the order x, y, z; free where the network is not asked.
        wanted: (N, 512) bool; what is given for other voxels means nothing.
        """
        if wanted is None:
            wanted = torch.ones((len(keys), BLOCK_VOXELS), dtype=torch.bool, device=keys.device)
        for first in range(0, len(keys), self.blocks_at_once):
            some = slice(first, first + self.blocks_at_once)
            yield keys[some], *self.translated(keys[some], wanted[some])

    def translated(self, keys: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 512, subdivision^3) TSDF and occupancy of (B, 3) blocks, all at once. wanted: (B, 512) bool."""
        found = self.network.surroundings(states_with_halo(self.latent, keys), wanted)
        shape = (len(keys) * BLOCK_VOXELS, len(self._offsets))
        tsdf, occupancy = (torch.full(shape, free, device=keys.device) for free in FREE_SPACE)
        for k, offset in enumerate(self._offsets):
            tsdf[found.asked, k], occupancy_logit = self.network.decide(found.context, found.centre, offset)
            occupancy[found.asked, k] = torch.sigmoid(occupancy_logit)
        return tsdf.unflatten(0, wanted.shape), occupancy.unflatten(0, wanted.shape)


def translation(compiled: bool, network: TranslatorNetwork, latent: BlockGrid, subdivision: int = 1) -> Translation:
    """The translation, compiled or not. Raises ValueError when it cannot be compiled."""
    if not compiled:
        return Translation(network, latent, subdivision)
    check_can_compile(latent.device)
    from neuralfusion_ros.mapping.compiled.translation import CompiledTranslation  # importing numba takes a while

    return CompiledTranslation(network, latent, subdivision)
