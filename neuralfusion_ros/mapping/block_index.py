# SPDX-License-Identifier: Apache-2.0
"""A hash table from block coordinates to rows, vectorised in torch, with a cost that does not grow with the map.

Open addressing with linear probing. It works on whole tensors on any device, which a Python dict cannot.
"""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.compiled import can_compile

KEY_BITS = 21
KEY_LIMIT = 1 << (KEY_BITS - 1)
OUT_OF_RANGE = -2
EMPTY = -1
GOLDEN = -7046029254386353131  # 2^64 / golden ratio as a signed integer: spreads neighbouring keys


def pack_keys(keys: torch.Tensor) -> torch.Tensor:
    """(..., 3) integer block coordinates to (...) int64, one number per block in [-KEY_LIMIT, KEY_LIMIT)^3."""
    return pack_coordinates(*keys.to(torch.int64).unbind(-1))


def pack_coordinates(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """As pack_keys, from one int64 tensor per axis. Coordinates out of range give a number that no block has."""
    x, y, z = x + KEY_LIMIT, y + KEY_LIMIT, z + KEY_LIMIT
    in_range = ((x | y | z) >> KEY_BITS) == 0
    return torch.where(in_range, (x << 2 * KEY_BITS) | (y << KEY_BITS) | z, OUT_OF_RANGE)


def unpack_keys(packed: torch.Tensor) -> torch.Tensor:
    """The inverse of pack_keys: (...) int64 to (..., 3) int32."""
    mask = (1 << KEY_BITS) - 1
    xyz = torch.stack((packed >> 2 * KEY_BITS, (packed >> KEY_BITS) & mask, packed & mask), dim=-1)
    return (xyz - KEY_LIMIT).to(torch.int32)


class BlockIndex:
    """Maps packed block keys to row numbers. At most half of the table is used, so that probing stays short."""

    def __init__(self, device: torch.device | str = "cpu", slots: int = 4096) -> None:
        self.slot_key = torch.full((slots,), EMPTY, dtype=torch.int64, device=device)
        self.slot_row = torch.zeros(slots, dtype=torch.int64, device=device)
        self._used = 0
        self._compiled = can_compile(torch.device(device))

    def __len__(self) -> int:
        return self._used

    @property
    def nbytes(self) -> int:
        """Memory of the table in bytes."""
        return self.slot_key.nbytes + self.slot_row.nbytes

    def find(self, packed: torch.Tensor) -> torch.Tensor:
        """(N,) int64 packed keys to (N,) int64 rows, -1 where the key is not in the table."""
        if not self._compiled:
            return self.find_plainly(packed)
        from neuralfusion_ros.mapping.compiled.table import find_packed  # importing numba takes a while

        return find_packed(self, packed)

    def find_keys(self, keys: torch.Tensor) -> torch.Tensor:
        """(..., 3) integer block coordinates to (...) int64 rows, -1 where the block is not in the table."""
        if not self._compiled:
            return self.find_plainly(pack_keys(keys).reshape(-1)).reshape(keys.shape[:-1])
        from neuralfusion_ros.mapping.compiled.table import find_keys

        return find_keys(self, keys)

    def find_plainly(self, packed: torch.Tensor) -> torch.Tensor:
        """As find, in plain torch."""
        slot = self._home(packed)
        found = self.slot_key[slot]
        rows = torch.where(found == packed, self.slot_row[slot], -1)
        pending = ((found != packed) & (found != EMPTY)).nonzero().squeeze(-1)
        while len(pending):
            slot[pending] = (slot[pending] + 1) & (len(self.slot_key) - 1)
            key, found = packed[pending], self.slot_key[slot[pending]]
            rows[pending] = torch.where(found == key, self.slot_row[slot[pending]], -1)
            pending = pending[(found != key) & (found != EMPTY)]
        return rows

    def missing(self, keys: torch.Tensor) -> torch.Tensor:
        """(N, 3) block coordinates to the packed keys of those that are not in the table, each once and in order."""
        if not self._compiled:
            return self.missing_plainly(keys)
        from neuralfusion_ros.mapping.compiled.table import missing

        return missing(self, keys)

    def missing_plainly(self, keys: torch.Tensor) -> torch.Tensor:
        """As missing, in plain torch."""
        packed = pack_keys(keys).unique()
        return packed[self.find_plainly(packed) < 0]

    def insert(self, packed: torch.Tensor, rows: torch.Tensor) -> None:
        """Adds (N,) distinct packed keys that are not in the table yet, with their (N,) rows."""
        self._used += len(packed)
        if 2 * self._used > len(self.slot_key):
            self._grow()
        if not self._compiled:
            return self.insert_plainly(packed, rows)
        from neuralfusion_ros.mapping.compiled.table import insert  # importing numba takes a while

        return insert(self, packed, rows)

    def insert_plainly(self, packed: torch.Tensor, rows: torch.Tensor) -> None:
        """As insert, in plain torch, where there is room."""
        slot = self._home(packed)
        pending = torch.arange(len(packed), device=packed.device)
        while len(pending):
            at, key = slot[pending], packed[pending]
            free = self.slot_key[at] == EMPTY
            self.slot_key[at[free]] = key[free]
            won = self.slot_key[at] == key  # of several keys at one free slot, one has been written
            self.slot_row[at[won]] = rows[pending[won]]
            pending = pending[~won]
            slot[pending] = (slot[pending] + 1) & (len(self.slot_key) - 1)

    def _home(self, packed: torch.Tensor) -> torch.Tensor:
        mixed = (packed ^ (packed >> 32)) * GOLDEN
        return (mixed ^ (mixed >> 32)) & (len(self.slot_key) - 1)

    def _grow(self) -> None:
        slots = len(self.slot_key)
        while 2 * self._used > slots:
            slots *= 2
        kept = self.slot_key != EMPTY
        packed, rows = self.slot_key[kept], self.slot_row[kept]
        self.slot_key = torch.full((slots,), EMPTY, dtype=torch.int64, device=packed.device)
        self.slot_row = torch.zeros(slots, dtype=torch.int64, device=packed.device)
        self._used -= len(packed)
        self.insert(packed, rows)
