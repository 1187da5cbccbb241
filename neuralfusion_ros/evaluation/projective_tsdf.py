# SPDX-License-Identifier: Apache-2.0
"""Our own plain TSDF fusion in torch: one pass over the frames, many variants at the end.

A voxel's signed distance is the depth of the pixel it projects to minus its own depth. A voxel counts and sums the
distances in some ranges, from which every variant is put together at the end. The mean inside the truncation gives the
"band" variants; counting each sighting as free space in front of it as one measurement of +truncation gives the
"carve" variants; some are also read through a filter in three dimensions. The volume is a box that is given
beforehand, so free space is complete and nothing depends on the order of the frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import open3d as o3d
import torch

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.filtered_tsdf import FILTERS
from neuralfusion_ros.evaluation.method import FloatArray, FusedMap
from neuralfusion_ros.evaluation.tsdf_map import TsdfMap, VoxelBlockGrid, new_grid
from neuralfusion_ros.evaluation.view import View
from neuralfusion_ros.mapping.camera import PinholeCamera

TRUNCATIONS_VOXELS = (2, 4, 8)
MIN_SIGHTINGS = (1, 3)
FILTER_MARK = " + "
"""In the name of every variant that is read through a filter, and in no other."""
# Limits between the ranges of signed distance, in voxels: -8 -4 -2 2 4 8. The last range is free space in front of
# every band.
_LIMITS_VOXELS = (*(-t for t in reversed(TRUNCATIONS_VOXELS)), *TRUNCATIONS_VOXELS)
_RANGES = len(_LIMITS_VOXELS)
_BLOCK = 8  # voxels along the edge of a block, in which views are tested
_BLOCK_VOXELS = _BLOCK**3
_CHUNK_BLOCKS = 128


@dataclass(frozen=True)
class Variant:
    """One reading. carve: free space counts. min_sightings: of a voxel that is known. filtered: one of FILTERS."""

    truncation_voxels: int
    carve: bool
    min_sightings: int
    filtered: str = ""

    @property
    def name(self) -> str:
        """For tables."""
        name = f"tsdf {'carve' if self.carve else 'band'} trunc={self.truncation_voxels} n>={self.min_sightings}"
        return f"{name}{FILTER_MARK}{self.filtered}" if self.filtered else name


PLAIN_VARIANTS = tuple(Variant(*v) for v in product(TRUNCATIONS_VOXELS, (False, True), MIN_SIGHTINGS))
# A narrow band is not worth filtering: its noise is wider than the band.
FILTERED_VARIANTS = tuple(Variant(*v) for v in product(TRUNCATIONS_VOXELS[1:], (False, True), MIN_SIGHTINGS, FILTERS))
VARIANTS = PLAIN_VARIANTS + FILTERED_VARIANTS


class ProjectiveTsdf:
    """Plain projective TSDF fusion, read in every one of VARIANTS.

    low, high: (3,) corners in metres of the box to map. max_depth_m: depth beyond is ignored.
    """

    name = "tsdf"

    def __init__(self, voxel_size_m: float, low: FloatArray, high: FloatArray, max_depth_m: float) -> None:
        self._voxel_size_m = voxel_size_m
        self._max_depth_m = max_depth_m
        block_m = _BLOCK * voxel_size_m
        axes = [
            torch.arange(int(np.floor(a / block_m)), int(np.ceil(b / block_m))) for a, b in zip(low, high, strict=True)
        ]
        self._blocks = torch.cartesian_prod(*axes).int()
        self._blocks_along = tuple(len(axis) for axis in axes)
        cube = torch.arange(_BLOCK)
        self._centres_m = (torch.cartesian_prod(cube, cube, cube) + 0.5) * voxel_size_m
        self._counts = torch.zeros((len(self._blocks), _BLOCK_VOXELS, _RANGES))
        self._sums = torch.zeros_like(self._counts)

    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        """Adds one frame."""
        view = View(frame, camera, self._max_depth_m)
        block_m = _BLOCK * self._voxel_size_m
        centres_m = (self._blocks + 0.5) * block_m
        in_view = view.spheres_in_view(centres_m, 3**0.5 * block_m / 2, max(TRUNCATIONS_VOXELS) * self._voxel_size_m)
        for rows in in_view.nonzero().squeeze(-1).split(_CHUNK_BLOCKS):
            self._update(rows, view)

    def maps(self) -> Iterator[FusedMap]:
        """One map per variant, made one at a time because each takes memory."""
        for variant in VARIANTS:
            truncation_m = variant.truncation_voxels * self._voxel_size_m
            grid = self._extract(variant, truncation_m)
            yield TsdfMap(variant.name, grid, self._voxel_size_m, _BLOCK, truncation_m, variant.min_sightings - 0.5)

    def _update(self, rows: torch.Tensor, view: View) -> None:
        corners_m = self._blocks[rows] * (_BLOCK * self._voxel_size_m)
        points = view.to_camera((corners_m[:, None] + self._centres_m).reshape(-1, 3))
        measured, z = view.nearest_depth(points), points[:, 2]
        limits_m = torch.tensor(_LIMITS_VOXELS) * self._voxel_size_m
        voxels = ((measured > 0) & (measured - z >= limits_m[0])).nonzero().squeeze(-1)
        distance = (measured - z)[voxels]
        voxels = rows[voxels // _BLOCK_VOXELS] * _BLOCK_VOXELS + voxels % _BLOCK_VOXELS
        cell = voxels * _RANGES + torch.bucketize(distance, limits_m, right=True) - 1
        self._counts.view(-1)[cell] += 1
        self._sums.view(-1)[cell] += distance

    def _extract(self, variant: Variant, truncation_m: float) -> VoxelBlockGrid:
        """The variant as Open3D's grid, whose weight is the number of sightings."""
        behind = _LIMITS_VOXELS.index(-variant.truncation_voxels)
        before = _LIMITS_VOXELS.index(variant.truncation_voxels)
        sightings, distance = self._counts[..., behind:before].sum(-1), self._sums[..., behind:before].sum(-1)
        if variant.carve:
            free = self._counts[..., before:].sum(-1)
            sightings, distance = sightings + free, distance + truncation_m * free
        tsdf = distance / sightings.clamp(min=1) / truncation_m
        if variant.filtered:
            known = self._as_volume(sightings) >= variant.min_sightings
            tsdf = self._as_blocks(FILTERS[variant.filtered](self._as_volume(tsdf).numpy(), known.numpy()))
        grid = new_grid(self._voxel_size_m, _BLOCK, len(self._blocks))
        rows, _ = grid.hashmap().activate(o3d.core.Tensor(self._blocks.numpy()))
        for name, values in (("tsdf", tsdf), ("weight", sightings)):
            cube = values.view(-1, _BLOCK, _BLOCK, _BLOCK, 1)
            grid.attribute(name).numpy()[rows.numpy()] = cube.transpose(1, 3).numpy()  # Open3D's order is z, y, x
        return grid

    def _as_volume(self, values: torch.Tensor) -> torch.Tensor:
        """(blocks, 512) values to the (X, Y, Z) voxels of the box."""
        cubes = values.view(*self._blocks_along, _BLOCK, _BLOCK, _BLOCK).permute(0, 3, 1, 4, 2, 5)
        return cubes.reshape(*(_BLOCK * blocks for blocks in self._blocks_along))

    def _as_blocks(self, volume: npt.NDArray[np.float32]) -> torch.Tensor:
        """The way back."""
        x, y, z = self._blocks_along
        cubes = torch.from_numpy(volume).view(x, _BLOCK, y, _BLOCK, z, _BLOCK).permute(0, 2, 4, 1, 3, 5)
        return cubes.reshape(-1, _BLOCK_VOXELS)
