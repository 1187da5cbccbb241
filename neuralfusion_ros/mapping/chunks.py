# SPDX-License-Identifier: Apache-2.0
"""Chunks: cubes of 4x4x4 blocks whose surfaces are meshed, kept and sent as one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.mapping.compiled import can_compile
from neuralfusion_ros.mapping.meshing import crossed_cells

CHUNK_BLOCKS = 4
Chunk = tuple[int, int, int]
Volume = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]
TSDF, OCCUPANCY, SEEN, USABLE = range(4)
"""Channels of a translated voxel; USABLE is 0 where it may not carry a surface."""


def chunks_around(keys: torch.Tensor) -> set[Chunk]:
    """The chunks with cells that read a voxel of these (N, 3) blocks: a cell also reads the voxels above its own."""
    below_and_own = torch.stack((keys - 1, keys), dim=1)
    chunks = torch.div(below_and_own, CHUNK_BLOCKS, rounding_mode="floor")
    pick = torch.cartesian_prod(*[torch.arange(2, device=keys.device)] * 3)
    touched = torch.stack([chunks[:, pick[:, axis], axis] for axis in range(3)], dim=-1)
    distinct = unpack_keys(pack_keys(touched.reshape(-1, 3)).unique())  # far faster than rows of three
    return {(x, y, z) for x, y, z in distinct.tolist()}


def chunk_volumes(grid: BlockGrid, chunks: Sequence[Chunk], compiled: bool | None = None) -> Iterator[Volume]:
    """What mesh_cells needs of each chunk: (33, 33, 33) signed distances in truncations, and which cells to mesh.

    grid: of translated voxels. compiled: by default where that is possible.
    """
    axis = torch.arange(CHUNK_BLOCKS + 1, device=grid.device)
    firsts = torch.tensor(chunks, dtype=torch.int64, device=grid.device).reshape(-1, 1, 3) * CHUNK_BLOCKS
    rows = grid.find(firsts + torch.cartesian_prod(axis, axis, axis))
    if can_compile(grid.device) if compiled is None else compiled:
        from neuralfusion_ros.mapping.compiled.chunks import read_chunk  # importing numba takes a while

        return (read_chunk(grid, blocks) for blocks in rows)
    return (_read_chunk(grid, blocks) for blocks in rows)


def _read_chunk(grid: BlockGrid, rows: torch.Tensor) -> Volume:
    """From (125,) rows of the blocks that the cells of a chunk read: its own and the first ones beyond."""
    blocks = grid.values.new_zeros((len(rows), BLOCK_VOXELS, grid.channels))  # unusable where none is
    there = (rows >= 0).nonzero().squeeze(-1)
    blocks[there] = grid.values.index_select(0, rows[there])
    tsdf, usable = (_volume(blocks[..., channel]).float().cpu().numpy() for channel in (TSDF, USABLE))
    return tsdf, crossed_cells(tsdf, usable > 0)


def _volume(blocks: torch.Tensor) -> torch.Tensor:
    """(125, 512) numbers of the voxels of 5x5x5 blocks to the (33, 33, 33) that the cells of a chunk read."""
    n, s, end = CHUNK_BLOCKS + 1, BLOCK_SIZE, CHUNK_BLOCKS * BLOCK_SIZE + 1
    volume = blocks.reshape(n, n, n, s, s, s).permute(0, 3, 1, 4, 2, 5).reshape(n * s, n * s, n * s)
    return volume[:end, :end, :end]
