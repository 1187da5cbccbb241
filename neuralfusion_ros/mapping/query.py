# SPDX-License-Identifier: Apache-2.0
"""Answers of the map at any point: signed distance, occupancy, and free, occupied or unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS, read_states, voxel_rows
from neuralfusion_ros.mapping.translate import TranslatorNetwork, translate_points
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT

UNKNOWN, FREE_SPACE, OCCUPIED = 0, 1, 2


@dataclass(frozen=True)
class QueryResult:
    """tsdf_m: (N,) metres, clipped at one truncation distance, NaN where unknown. occupancy: (N,) probability.

    state: (N,) UNKNOWN, FREE_SPACE or OCCUPIED. A point is unknown when nothing was measured at its voxel.
    """

    tsdf_m: npt.NDArray[np.float32]
    occupancy: npt.NDArray[np.float32]
    state: npt.NDArray[np.uint8]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the map has seen the point, and so tsdf_m is a number."""
        return self.state != UNKNOWN


def query(latent: BlockGrid, translator: TranslatorNetwork, points: npt.NDArray[np.float64]) -> QueryResult:
    """Asks the latent map at (N, 3) world points in metres, each translated where it lies inside its voxel.

    Raises ValueError when the points have another shape.
    """
    if np.ndim(points) != 2 or np.shape(points)[1] != 3:
        raise ValueError(f"points must be (N, 3), got {np.shape(points)}")
    in_voxels = torch.as_tensor(points, dtype=torch.float64, device=latent.device) / latent.voxel_size_m
    voxels = torch.floor(in_voxels).to(torch.int64)
    states = read_states(latent, voxel_rows(latent, voxels))
    known = (states[:, WEIGHT] > 0) | (states[:, FREE] > 0)
    tsdf_m = np.full(len(points), np.nan, np.float32)
    occupancy = np.full(len(points), 0.5, np.float32)
    state = np.full(len(points), UNKNOWN, np.uint8)
    if known.any():
        offsets = (in_voxels - voxels - 0.5).float()
        tsdf, occupied = translate_points(translator, latent, voxels[known], offsets[known])
        at = known.cpu().numpy()
        tsdf_m[at] = tsdf.cpu().numpy() * (TRUNCATION_VOXELS * latent.voxel_size_m)
        occupancy[at] = occupied.cpu().numpy()
        state[at] = np.where(tsdf_m[at] > 0, FREE_SPACE, OCCUPIED)
    return QueryResult(tsdf_m, occupancy, state)
