# SPDX-License-Identifier: Apache-2.0
"""Which voxels wait for translation: those of blocks that changed, and those beside them that see the change."""

from __future__ import annotations

from functools import lru_cache

import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BlockGrid, blocks_around, voxel_offsets
from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.mapping.translate import HALO

_AROUND = 27  # a block and those that touch it


class PendingBlocks:
    """Blocks of `latent` in the order of their packed keys. For each, which of the blocks around it have changed."""

    def __init__(self, latent: BlockGrid) -> None:
        self._latent = latent
        self.clear()

    def __len__(self) -> int:
        return len(self._packed)

    @property
    def keys(self) -> torch.Tensor:
        """(N, 3) of the waiting blocks."""
        return unpack_keys(self._packed)

    def clear(self) -> None:
        """Nothing waits."""
        device = self._latent.device
        self._packed = torch.zeros(0, dtype=torch.int64, device=device)
        self._changed = torch.zeros((0, _AROUND), dtype=torch.bool, device=device)

    def mark(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks that changed, or that are gone: they and those around them wait, as far as they exist."""
        reached = pack_keys(blocks_around(keys).reshape(-1, 3))
        packed, number = torch.cat((self._packed, reached)).unique(return_inverse=True)
        changed = torch.zeros((len(packed), _AROUND), dtype=torch.bool, device=keys.device)
        changed[number[: len(self)]] = self._changed
        # Seen from there, the changed block lies the other way.
        opposite = torch.arange(_AROUND - 1, -1, -1, device=keys.device).repeat(len(keys))
        changed[number[len(self) :], opposite] = True
        exists = self._latent.find(unpack_keys(packed)) >= 0
        self._packed, self._changed = packed[exists], changed[exists]

    def drop(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks that do not wait any more."""
        stays = ~torch.isin(self._packed, pack_keys(keys))
        self._packed, self._changed = self._packed[stays], self._changed[stays]

    def take(self, count: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The first blocks, at most `count`: (n, 3) keys, and (n, 512) bool voxels to translate. They wait no more."""
        keys, changed = unpack_keys(self._packed[:count]), self._changed[:count]
        self._packed, self._changed = self._packed[len(keys) :], self._changed[len(keys) :]
        return keys, changed.float() @ _within_reach(changed.device).float() > 0


@lru_cache(maxsize=4)
def _within_reach(device: torch.device) -> torch.Tensor:
    """(27, 512) bool: whether a voxel sees something of each of the blocks around, in the order of blocks_around."""
    first = blocks_around(torch.zeros((1, 3), device=device))[0, :, None] * BLOCK_SIZE
    voxels = voxel_offsets(device)
    near = (voxels + HALO >= first) & (voxels - HALO < first + BLOCK_SIZE)
    return near.all(dim=-1)
