# SPDX-License-Identifier: Apache-2.0
"""The hash table of the blocks, as kernels read it. The functions are those of mapping/block_index.py for one key."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_index import EMPTY, GOLDEN, KEY_BITS, KEY_LIMIT, OUT_OF_RANGE, BlockIndex
from neuralfusion_ros.mapping.compiled.jit import kernel


class Table(NamedTuple):
    """slot_key, slot_row: (slots,) packed keys and rows of the pool."""

    slot_key: npt.NDArray[np.int64]
    slot_row: npt.NDArray[np.int64]


def table_of(index: BlockIndex) -> Table:
    """A view of the table; valid until the index grows."""
    return Table(index.slot_key.numpy(), index.slot_row.numpy())


def find_packed(index: BlockIndex, packed: torch.Tensor) -> torch.Tensor:
    """As BlockIndex.find."""
    rows = np.empty(len(packed), np.int64)
    _find_packed(table_of(index), packed.contiguous().numpy(), rows)
    return torch.from_numpy(rows)


def find_keys(index: BlockIndex, keys: torch.Tensor) -> torch.Tensor:
    """As BlockIndex.find_keys."""
    rows = np.empty(keys.shape[:-1], np.int64)
    _find_keys(table_of(index), keys.to(torch.int64).reshape(-1, 3).contiguous().numpy(), rows.reshape(-1))
    return torch.from_numpy(rows)


def missing(index: BlockIndex, keys: torch.Tensor) -> torch.Tensor:
    """As BlockIndex.missing."""
    wanted = keys.to(torch.int64).contiguous().numpy()
    seen = np.full(1 << max(4, (2 * len(wanted)).bit_length()), EMPTY, np.int64)
    found = np.empty(len(wanted), np.int64)
    count = _missing(table_of(index), wanted, seen, found)
    return torch.from_numpy(found[:count]).sort().values


@kernel
def _missing(
    table: Table, keys: npt.NDArray[np.int64], seen: npt.NDArray[np.int64], found: npt.NDArray[np.int64]
) -> int:
    """seen: free slots, a power of two and more than there are keys. found: (N,), written in the order of `keys`."""
    count = 0
    for i in range(len(keys)):
        packed = pack(keys[i, 0], keys[i, 1], keys[i, 2])
        if find(table, packed) >= 0:
            continue
        slot = _home(packed, len(seen))
        while seen[slot] != EMPTY and seen[slot] != packed:
            slot = (slot + 1) & (len(seen) - 1)
        if seen[slot] == EMPTY:
            seen[slot], found[count] = packed, packed
            count += 1
    return count


def insert(index: BlockIndex, packed: torch.Tensor, rows: torch.Tensor) -> None:
    """As BlockIndex.insert, where there is room."""
    _insert(table_of(index), packed.contiguous().numpy(), rows.contiguous().numpy())


@kernel
def _insert(table: Table, packed: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
    for i in range(len(packed)):
        slot = _home(packed[i], len(table.slot_key))
        while table.slot_key[slot] != EMPTY:
            slot = (slot + 1) & (len(table.slot_key) - 1)
        table.slot_key[slot], table.slot_row[slot] = packed[i], rows[i]


@kernel
def _find_packed(table: Table, packed: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
    for i in range(len(packed)):
        rows[i] = find(table, packed[i])


@kernel
def _find_keys(table: Table, keys: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
    for i in range(len(keys)):
        rows[i] = find(table, pack(keys[i, 0], keys[i, 1], keys[i, 2]))


@kernel
def pack(x: int, y: int, z: int) -> int:
    """pack_coordinates for one block."""
    x, y, z = x + KEY_LIMIT, y + KEY_LIMIT, z + KEY_LIMIT
    if (x | y | z) >> KEY_BITS != 0:
        return OUT_OF_RANGE
    return (x << 2 * KEY_BITS) | (y << KEY_BITS) | z


@kernel
def find(table: Table, packed: int) -> int:
    """Row of the block, -1 where there is none."""
    slot = _home(packed, len(table.slot_key))
    while table.slot_key[slot] != packed:
        if table.slot_key[slot] == EMPTY:
            return -1
        slot = (slot + 1) & (len(table.slot_key) - 1)
    return table.slot_row[slot]


@kernel
def _home(packed: int, slots: int) -> int:
    mixed = (packed ^ (packed >> 32)) * GOLDEN
    return (mixed ^ (mixed >> 32)) & (slots - 1)
