# SPDX-License-Identifier: Apache-2.0
"""The sparse, unbounded voxel grid: blocks of 8x8x8 voxels in one pool, found through a hash table.

Voxel i covers [i, i + 1) * voxel_size and its values belong to the centre. Inside a block a voxel's number is
(x * 8 + y) * 8 + z.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_index import (
    KEY_LIMIT,
    OUT_OF_RANGE,
    BlockIndex,
    pack_coordinates,
    pack_keys,
    unpack_keys,
)
from neuralfusion_ros.mapping.block_regions import BlockRegions
from neuralfusion_ros.mapping.compiled import can_compile

BLOCK_SIZE = 8
BLOCK_VOXELS = BLOCK_SIZE**3


class OutOfReach(ValueError):
    """A camera is too far away to be mapped. The message is one line that says where it is and how far it may be."""


def check_reach(T_world_camera: npt.NDArray[np.float64], voxel_size_m: float) -> None:
    """Raises OutOfReach when the (4, 4) pose is so far away that blocks around it could have no coordinates."""
    reach_m = KEY_LIMIT // 2 * BLOCK_SIZE * voxel_size_m  # the other half is for what the camera sees
    position_m = T_world_camera[:3, 3]
    if np.abs(position_m).max() > reach_m:
        at, reach = ", ".join(f"{x:.6g}" for x in position_m), f"{reach_m:.6g}"
        text = f"with voxels of {voxel_size_m:g} m a map reaches to {reach} m from its origin along every axis"
        raise OutOfReach(f"the camera is at ({at}) m, but {text}")


class BlockGrid:
    """Values of `channels` numbers per voxel, allocated block by block.

    voxel_size_m: edge of a voxel. max_bytes: the pool never grows beyond it; blocks that do not fit are refused. Where
    the machine has less, max_blocks shrinks to what it has, until `clear`.
    dtype: of the stored values. A block keeps its row in the pool until `remove` or `clear`.
    """

    def __init__(
        self,
        channels: int,
        voxel_size_m: float,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float16,
        max_bytes: int = 2 << 30,
    ) -> None:
        if voxel_size_m <= 0:
            raise ValueError(f"voxel size must be positive, got {voxel_size_m}")
        self.voxel_size_m = voxel_size_m
        self.channels = channels
        self.device = torch.device(device)
        self._max_bytes = max_bytes
        self.max_blocks = max_bytes // (BLOCK_VOXELS * channels * dtype.itemsize)
        self._pool = torch.zeros((0, BLOCK_VOXELS, channels), dtype=dtype, device=self.device)
        self._keys = torch.zeros((0, 3), dtype=torch.int32, device=self.device)
        self._stamps = torch.zeros(0, dtype=torch.int32, device=self.device)
        self._n_written = 0  # rows of the pool that have ever held a block
        self.index = BlockIndex(self.device)
        self.regions = BlockRegions(self.device)
        self.n_blocks = 0

    @property
    def block_size_m(self) -> float:
        """Edge of a block in metres."""
        return BLOCK_SIZE * self.voxel_size_m

    @property
    def values(self) -> torch.Tensor:
        """(n_blocks, 512, channels) values; a view, so writing to it writes to the grid."""
        return self._pool[: self.n_blocks]

    @property
    def keys(self) -> torch.Tensor:
        """(n_blocks, 3) int32 coordinates of every block, in units of blocks."""
        return self._keys[: self.n_blocks]

    @property
    def stamps(self) -> torch.Tensor:
        """(n_blocks,) int32 a number per block that its owner may use, 0 in a new one; a view."""
        return self._stamps[: self.n_blocks]

    @property
    def nbytes(self) -> int:
        """Memory held by the pool, what is kept per block, and the hash table, in bytes."""
        columns = (self._pool, self._keys, self._stamps)
        # A CPU's memory is taken when it is first written to.
        rows = self._n_written if self.device.type == "cpu" else len(self._pool)
        return rows * sum(column[:1].nbytes for column in columns) + self.index.nbytes

    def clear(self) -> None:
        """Forgets every block and gives the memory back."""
        self.__init__(  # type: ignore[misc]
            self.channels, self.voxel_size_m, self.device, self._pool.dtype, self._max_bytes
        )

    def find(self, keys: torch.Tensor) -> torch.Tensor:
        """(..., 3) block coordinates to (...) int64 rows, -1 where there is no block."""
        return self.index.find_keys(keys)

    def find_at(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """As find, from one (...) int64 tensor per axis."""
        return self.index.find(pack_coordinates(x, y, z).reshape(-1)).reshape(x.shape)

    def allocate(self, keys: torch.Tensor) -> int:
        """Makes sure that the (N, 3) blocks exist, new ones filled with zeros.

        Returns the number of blocks that were refused because the grid is full. Blocks out of the range of
        coordinates (+-2^20) are refused too, and count as one.
        """
        if len(keys) == 0:
            return 0
        packed = self.index.missing(keys)
        out_of_range = int((packed == OUT_OF_RANGE).sum())
        packed = packed[packed != OUT_OF_RANGE]
        if len(packed) == 0:
            return out_of_range
        self._reserve(min(self.n_blocks + len(packed), self.max_blocks))
        room = self.max_blocks - self.n_blocks
        refused = out_of_range + max(0, len(packed) - room)
        packed = packed[: max(0, room)]
        first = self.n_blocks
        self.n_blocks += len(packed)
        self._n_written = max(self._n_written, self.n_blocks)
        self._keys[first : self.n_blocks] = unpack_keys(packed)
        self.index.insert(packed, torch.arange(first, self.n_blocks, device=self.device))
        self.regions.add(self._keys[first : self.n_blocks], first)
        return refused

    def remove(self, rows: torch.Tensor) -> None:
        """Takes the blocks in these (K,) distinct rows out of the map. Blocks from the end of the pool fill the rows.

        The memory stays with the pool. Costs time for the blocks that go and, a little, for all that stay.
        """
        if len(rows) == 0:
            return
        stays = torch.ones(self.n_blocks, dtype=torch.bool, device=self.device)
        stays[rows] = False
        n_left = self.n_blocks - len(rows)
        holes = (~stays[:n_left]).nonzero().squeeze(-1)
        moved = stays[n_left:].nonzero().squeeze(-1) + n_left
        for column in (self._pool, self._keys, self._stamps):
            column[holes] = column[moved]
            column[n_left : self.n_blocks] = 0
        self.n_blocks = n_left
        self.index, self.regions = BlockIndex(self.device), BlockRegions(self.device)
        self.index.insert(pack_keys(self.keys), torch.arange(n_left, device=self.device))
        self.regions.add(self.keys, 0)

    def set_blocks(self, keys: torch.Tensor, values: torch.Tensor | npt.NDArray[np.float16]) -> int:
        """Writes (N, 512, channels) values to the (N, 3) blocks, allocating them. Returns how many were refused.

        values: on the CPU also an array, which may be part of a message.
        """
        refused, rows = 0, self.find(keys)
        if bool((rows < 0).any()):  # in a map that has been seen before, all are there
            refused = self.allocate(keys[rows < 0])
            rows = self.find(keys)
        if isinstance(values, np.ndarray) and self._pool.dtype == torch.float16 and can_compile(self.device):
            from neuralfusion_ros.mapping.compiled.block_states import write_blocks  # importing numba takes a while

            write_blocks(self.values, rows, values)
            return refused
        there = rows >= 0
        given = torch.from_numpy(values.copy()) if isinstance(values, np.ndarray) else values
        self.values.index_copy_(0, rows[there], given.to(self.device, self._pool.dtype)[there])
        return refused

    def _reserve(self, n_blocks: int) -> None:
        """Makes the pool at least so large, or lowers max_blocks to what it has when the machine is out of memory.

        On a CPU there is room for the whole map at once, so that no frame waits until the pool is copied. On a GPU, and
        where the machine does not promise so much, the pool grows.
        """
        capacity = len(self._pool)
        if n_blocks <= capacity:
            return
        grown = min(max(n_blocks, capacity + capacity // 4, 256), self.max_blocks)
        if not (self.device.type == "cpu" and self._make_pool(self.max_blocks)) and not self._make_pool(grown):
            self.max_blocks = capacity

    def _make_pool(self, capacity: int) -> bool:
        """Moves the blocks to a pool of so many; False when there is no memory for it."""
        old = (self._pool, self._keys, self._stamps)
        try:
            new = [_zeros((capacity, *column.shape[1:]), column.dtype, self.device) for column in old]
        except MemoryError:
            return False
        for column, before in zip(new, old, strict=True):
            column[: self.n_blocks] = before[: self.n_blocks]
        self._pool, self._keys, self._stamps = new
        return True


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """As torch.zeros, but on a CPU the memory is taken page by page when it is first written to. Raises MemoryError."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(shape, torch.empty(0, dtype=dtype).numpy().dtype))
    try:
        return torch.zeros(shape, dtype=dtype, device=device)
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error


def blocks_around(keys: torch.Tensor) -> torch.Tensor:
    """(N, 3) blocks to the (N, 27, 3) int64 of each and those that touch it, in the order x, y, z."""
    steps = torch.arange(-1, 2, device=keys.device)
    return keys[:, None].to(torch.int64) + torch.cartesian_prod(steps, steps, steps)


def voxel_offsets(device: torch.device | str = "cpu") -> torch.Tensor:
    """(512, 3) int64 position of every voxel inside its block, in the order of the pool."""
    axis = torch.arange(BLOCK_SIZE, device=device)
    return torch.cartesian_prod(axis, axis, axis)
