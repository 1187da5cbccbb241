# SPDX-License-Identifier: Apache-2.0
"""The translated map seen from above, for robots that plan in the plane: an occupancy grid and a distance field.

Both lie in the x-y plane of the map. A cell is as large as a voxel; row r and column c belong to the voxels with
y = first_cell[1] + r and x = first_cell[0] + c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED
from neuralfusion_ros.mapping.surface_map import SurfaceMap

MAX_CELLS = 1 << 26  # a square of 160 m at 2 cm; more comes only from a pose gone astray
_BLOCKS_AT_ONCE = 4096
_ON_THE_EDGE = 1e-6  # of a voxel; heights that are multiples of the voxel size must not take in one layer too many


class GridTooLarge(ValueError):
    """The map reaches too far for a dense grid. The message is a sentence."""


@dataclass(frozen=True)
class PlaneGrid:
    """states: (rows, columns) uint8 UNKNOWN, FREE_SPACE or OCCUPIED, rows along y, columns along x.

    origin_m: x and y of the corner of cell (0, 0) that lies lowest. cell_size_m: edge of a cell.
    """

    states: npt.NDArray[np.uint8]
    origin_m: tuple[float, float]
    cell_size_m: float


@dataclass(frozen=True)
class EsdfSlice:
    """positions_m: (N, 3) float32 centres of the known cells of one layer. distance_m: (N,) float32."""

    positions_m: npt.NDArray[np.float32]
    distance_m: npt.NDArray[np.float32]


def occupancy_grid(surface: SurfaceMap, min_height_m: float, max_height_m: float) -> PlaneGrid:
    """What is known of every column of voxels between two heights; a voxel that reaches into the slab counts.

    A cell is OCCUPIED if any voxel of its column is, else FREE_SPACE if any voxel is, else UNKNOWN. The grid covers
    all blocks that reach into the slab. Raises GridTooLarge.
    """
    size_m = surface.grid.voxel_size_m
    first = math.floor(min_height_m / size_m + _ON_THE_EDGE)
    last = max(first, math.ceil(max_height_m / size_m - _ON_THE_EDGE) - 1)
    return _seen_from_above(surface, first, last)


def esdf_slice(surface: SurfaceMap, height_m: float, max_distance_m: float) -> EsdfSlice:
    """Signed distances inside the one layer of voxels that holds `height_m`. Raises GridTooLarge.

    Distances run in the plane, from the centre of a cell to the edge of the nearest cell of the other kind: positive in
    free cells, to the nearest occupied one; negative in occupied cells, to the nearest free one. They are clipped at
    max_distance_m. Cells that are unknown get no distance and are neither obstacle nor way out for the others.
    """
    size_m = surface.grid.voxel_size_m
    layer = math.floor(height_m / size_m + _ON_THE_EDGE)
    plane = _seen_from_above(surface, layer, layer)
    free, occupied = plane.states == FREE_SPACE, plane.states == OCCUPIED
    cells = np.where(occupied, 0.5 - _cells_to_nearest(free), _cells_to_nearest(occupied) - 0.5)
    rows, columns = np.nonzero(free | occupied)
    positions_m = np.empty((len(rows), 3), np.float32)
    positions_m[:, 0] = plane.origin_m[0] + (columns + 0.5) * size_m
    positions_m[:, 1] = plane.origin_m[1] + (rows + 0.5) * size_m
    positions_m[:, 2] = (layer + 0.5) * size_m
    distance_m = np.clip(cells[rows, columns] * size_m, -max_distance_m, max_distance_m)
    return EsdfSlice(positions_m, distance_m.astype(np.float32))


def _cells_to_nearest(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(H, W) distance of every cell from the nearest marked one, centre to centre; infinite when none is marked."""
    if not marked.any():
        return np.full(marked.shape, np.inf)
    return np.asarray(distance_transform_edt(~marked))


def _seen_from_above(surface: SurfaceMap, first: int, last: int) -> PlaneGrid:
    """The highest state of every column of voxels from layer `first` to layer `last`."""
    grid = surface.grid
    block_layers = grid.keys[:, 2]
    reaches = (block_layers >= first // BLOCK_SIZE) & (block_layers <= last // BLOCK_SIZE)
    rows = reaches.nonzero().squeeze(-1)
    if not len(rows):
        return PlaneGrid(np.zeros((0, 0), np.uint8), (0.0, 0.0), grid.voxel_size_m)
    blocks = grid.keys[rows, :2].to(torch.int64)
    low = blocks.amin(dim=0)
    width, height = ((blocks.amax(dim=0) - low + 1) * BLOCK_SIZE).tolist()
    if width * height > MAX_CELLS:
        raise GridTooLarge(f"The map is {width} by {height} cells wide; a grid may have {MAX_CELLS}.")
    cells = torch.zeros(height * width, dtype=torch.uint8, device=grid.device)
    for some in rows.split(_BLOCKS_AT_ONCE):
        corner = (grid.keys[some, :2] - low) * BLOCK_SIZE
        numbers = _cell_numbers(corner, width)
        cells.scatter_reduce_(0, numbers.reshape(-1), _highest(surface, some, first, last).reshape(-1), "amax")
    x_m, y_m = (low * grid.block_size_m).tolist()
    return PlaneGrid(cells.reshape(height, width).cpu().numpy(), (x_m, y_m), grid.voxel_size_m)


def _highest(surface: SurfaceMap, rows: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """(N,) rows of blocks to the (N, 8, 8) highest state of their columns, by x and y, as far as they are in the slab.

    The states are numbered so that the more important one is the higher.
    """
    states = surface.voxel_states(rows).reshape(-1, BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE)
    layers = surface.grid.keys[rows, 2, None] * BLOCK_SIZE + torch.arange(BLOCK_SIZE, device=rows.device)
    inside = (layers >= first) & (layers <= last)
    return (states * inside[:, None, None]).amax(dim=-1)


def _cell_numbers(corner: torch.Tensor, width: int) -> torch.Tensor:
    """(N, 2) lowest cells of blocks, x and y, to the (N, 8, 8) numbers of their cells in a grid of that width."""
    axis = torch.arange(BLOCK_SIZE, device=corner.device)
    x, y = corner[:, 0, None, None] + axis[:, None], corner[:, 1, None, None] + axis
    return y * width + x
