# SPDX-License-Identifier: Apache-2.0
"""Blocks grouped by large cubes, so that the blocks in view are found without looking at the whole map."""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys

REGION_BLOCKS = 16


class BlockRegions:
    """Rows of blocks by region, a cube of 16^3 blocks. There are hundreds of times fewer regions than blocks."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._number: dict[int, int] = {}
        self._rows: list[list[torch.Tensor]] = []
        self._keys = torch.zeros((0, 3), dtype=torch.int32, device=device)

    @property
    def keys(self) -> torch.Tensor:
        """(R, 3) int32 coordinates of the regions, in units of regions."""
        return self._keys

    def add(self, keys: torch.Tensor, first_row: int) -> None:
        """Adds (N, 3) new blocks that lie in rows first_row, first_row + 1, ... of the pool."""
        regions, members = pack_keys(torch.div(keys, REGION_BLOCKS, rounding_mode="floor")).unique(return_inverse=True)
        for place, packed in enumerate(regions.tolist()):
            if packed not in self._number:
                self._number[packed] = len(self._rows)
                self._rows.append([])
                self._keys = torch.cat((self._keys, unpack_keys(regions[place : place + 1])))
            self._rows[self._number[packed]].append((members == place).nonzero().squeeze(-1) + first_row)

    def rows(self, regions: torch.Tensor) -> torch.Tensor:
        """(M,) rows of all blocks in the regions with these (K,) numbers, positions in `keys`."""
        numbers = regions.tolist()
        for number in numbers:
            if len(self._rows[number]) > 1:  # joined once, when first asked for after it grew
                self._rows[number] = [torch.cat(self._rows[number])]
        return torch.cat([self._rows[number][0] for number in numbers]) if numbers else regions
