# SPDX-License-Identifier: Apache-2.0
"""chunk_volumes of mapping/chunks.py for one chunk on a CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BlockGrid
from neuralfusion_ros.mapping.chunks import CHUNK_BLOCKS, TSDF, USABLE
from neuralfusion_ros.mapping.compiled.half import to_float
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.world_rays import Floats

_BLOCKS = CHUNK_BLOCKS + 1  # along an edge: those of the chunk, and the first ones beyond
_EDGE = CHUNK_BLOCKS * BLOCK_SIZE + 1
_FREE, _BEHIND, _UNUSABLE = 0, 1, 2


def read_chunk(grid: BlockGrid, rows: torch.Tensor) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Signed distances and cells to mesh, from (125,) rows of the blocks that the cells of the chunk read."""
    shape = (_EDGE, _EDGE, _EDGE)
    tsdf, sides = np.zeros(shape, np.float32), np.full(shape, _UNUSABLE, np.uint8)
    cells = np.zeros(shape, np.bool_)
    if _read(grid.values.numpy().view(np.uint16), rows.numpy(), tsdf, sides):
        _mark_crossed(sides, cells)
    return tsdf, cells


@kernel
def _read(
    values: npt.NDArray[np.uint16], rows: npt.NDArray[np.int64], tsdf: Floats, sides: npt.NDArray[np.uint8]
) -> bool:
    """Writes the voxels of the blocks that exist. Returns whether there are two sides."""
    found = 0
    for number in range(len(rows)):
        if rows[number] < 0:
            continue
        block = values[rows[number]]
        x0 = number // (_BLOCKS * _BLOCKS) * BLOCK_SIZE
        y0, z0 = number // _BLOCKS % _BLOCKS * BLOCK_SIZE, number % _BLOCKS * BLOCK_SIZE
        for i in range(min(BLOCK_SIZE, _EDGE - x0)):
            for j in range(min(BLOCK_SIZE, _EDGE - y0)):
                for k in range(min(BLOCK_SIZE, _EDGE - z0)):
                    voxel = (i * BLOCK_SIZE + j) * BLOCK_SIZE + k
                    distance = to_float(block[voxel, TSDF])
                    tsdf[x0 + i, y0 + j, z0 + k] = distance
                    if to_float(block[voxel, USABLE]) > 0:
                        side = _BEHIND if distance < 0 else _FREE
                        sides[x0 + i, y0 + j, z0 + k] = side
                        found |= 1 << side
    return found == 3


@kernel
def _mark_crossed(sides: npt.NDArray[np.uint8], cells: npt.NDArray[np.bool_]) -> None:
    """crossed_cells of mapping/meshing.py."""
    for x in range(1, _EDGE):
        for y in range(1, _EDGE):
            for z in range(1, _EDGE):
                both = nothing = 0
                for i in range(2):
                    for j in range(2):
                        for k in range(2):
                            side = sides[x - i, y - j, z - k]
                            both += side
                            nothing |= side
                cells[x, y, z] = nothing < _UNUSABLE and 0 < both < 8
