# SPDX-License-Identifier: Apache-2.0
"""Colours of latent vectors: their three main directions become red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.extract import read_states, voxel_rows
from neuralfusion_ros.mapping.voxel_state import FREE, LATENT, WEIGHT

Floats = npt.NDArray[np.float32]
_FIT_VOXELS = 200_000
_PERCENTILES = (2, 98)


@dataclass(frozen=True)
class LatentVoxels:
    """What a map holds at some points. latent: (N, L). weight, free: (N,) evidence of surface and of free space."""

    latent: Floats
    weight: Floats
    free: Floats


@dataclass(frozen=True)
class LatentColours:
    """mean: (L,). directions: (L, 3). low, high: (3,) projections that become 0 and 1. explained: (L,) shares of the
    variance, largest first."""

    mean: Floats
    directions: Floats
    low: Floats
    high: Floats
    explained: Floats

    def colours(self, latent: Floats) -> Floats:
        """(N, L) latent vectors to (N, 3) colours in 0..1."""
        projected = (latent - self.mean) @ self.directions
        return ((projected - self.low) / np.maximum(self.high - self.low, 1e-6)).clip(0, 1)


def fit_colours(latent: Floats) -> LatentColours:
    """Principal components of (N, L) vectors, N at least 1. With L below 3 the missing colours stay 0.5."""
    mean = latent.mean(0)
    values, vectors = np.linalg.eigh(np.cov((latent - mean).T, bias=True).reshape(latent.shape[1], -1))
    order = np.argsort(-values)
    directions = np.zeros((latent.shape[1], 3), np.float32)
    kept = vectors[:, order[:3]]
    # A direction has no sign of its own: its largest part points up, so that the same map gives the same colours.
    kept = kept * np.sign(kept[np.abs(kept).argmax(0), np.arange(kept.shape[1])])
    directions[:, : kept.shape[1]] = kept
    low, high = np.percentile((latent - mean) @ directions, _PERCENTILES, axis=0).astype(np.float32)
    flat = high - low < 1e-6
    low, high = np.where(flat, -0.5, low), np.where(flat, 0.5, high)
    explained = np.maximum(values[order], 0) / max(float(values.sum()), 1e-12)
    return LatentColours(mean, directions, low, high, explained.astype(np.float32))


def surface_latents(grid: BlockGrid, seed: int = 0) -> Floats:
    """(N, L) latent vectors of voxels with evidence of a surface; a random part of a large map."""
    values = grid.values.reshape(-1, grid.channels)
    rows = (values[:, WEIGHT] > 0).nonzero().squeeze(-1).cpu().numpy()
    if len(rows) > _FIT_VOXELS:
        rows = np.random.default_rng(seed).choice(rows, _FIT_VOXELS, replace=False)
    latent: Floats = values[torch.from_numpy(rows).to(values.device)][:, LATENT].float().cpu().numpy()
    return latent


def latents_at(grid: BlockGrid, points: npt.NDArray[np.float64]) -> LatentVoxels:
    """What the voxels hold that contain (N, 3) world points; zeros where the map has none."""
    world = torch.as_tensor(points, dtype=torch.float64, device=grid.device)
    voxels = torch.floor(world / grid.voxel_size_m).to(torch.int64)
    states = read_states(grid, voxel_rows(grid, voxels)).float().cpu().numpy()
    return LatentVoxels(states[:, LATENT], states[:, WEIGHT], states[:, FREE])
