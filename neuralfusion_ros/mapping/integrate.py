# SPDX-License-Identifier: Apache-2.0
"""Step 3, integrate: every voxel takes the update of the ray that passes it, then merges it into its state.

Voxels look for their ray, not rays for their voxels: a voxel gets at most one update per frame, the signed distance
is that of its own centre, and no two updates collide. What lies in front of the band is voted free, unless a ray beside
has measured a surface there: a pose that is a little off looks past the edge of a thing that is where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.block_regions import REGION_BLOCKS
from neuralfusion_ros.mapping.extract import SAMPLES, TRUNCATION_VOXELS
from neuralfusion_ros.mapping.fuse import RayUpdates
from neuralfusion_ros.mapping.ray_image import RayImage
from neuralfusion_ros.mapping.voxel_state import FREE, LATENT, MEAN, VARIANCE, WEIGHT

NEAREST_M = 0.01  # voxels closer to the camera's centre are never looked at


@dataclass(frozen=True)
class Touched:
    """What a frame changed. blocks: (B,) rows of the blocks with a changed voxel. voxels: updated in the band."""

    blocks: torch.Tensor
    voxels: int


@dataclass(frozen=True)
class VoxelUpdates:
    """The updates of one frame, one row per voxel; rows count in the flattened pool of the grid.

    rows: (M,) voxels in the band. weight: (M,). signed_distance: (M,) in truncations, in [-1, 1].
    vectors: (M, L). free_rows: (K,) voxels seen through.
    """

    rows: torch.Tensor
    weight: torch.Tensor
    signed_distance: torch.Tensor
    vectors: torch.Tensor
    free_rows: torch.Tensor

    def touched(self, n_blocks: int) -> Touched:
        """Of a grid of n_blocks blocks."""
        blocks = torch.zeros(n_blocks, dtype=torch.bool, device=self.rows.device)
        for rows in (self.rows, self.free_rows):
            blocks[torch.div(rows, BLOCK_VOXELS, rounding_mode="floor")] = True
        return Touched(blocks.nonzero().squeeze(-1), len(self.rows))


def band_blocks(rays: RayImage, T_world_camera: torch.Tensor, voxel_size_m: float) -> torch.Tensor:
    """(N, 3) int64 coordinates of the blocks that the truncation band of the measured points touches, some repeated."""
    rotation, translation = T_world_camera[:3, :3], T_world_camera[:3, 3]
    points = rays.points_m.reshape(-1, 3) @ rotation.T + translation
    directions = F.normalize(rays.points_m.reshape(-1, 3), dim=-1) @ rotation.T
    steps = torch.linspace(-TRUNCATION_VOXELS, TRUNCATION_VOXELS, 5, device=points.device) * voxel_size_m
    band = points + directions * steps[:, None, None]
    blocks = torch.floor(band / (BLOCK_SIZE * voxel_size_m))
    new = (blocks[:, 1:] != blocks[:, :-1]).any(dim=-1)  # most rays touch the same blocks as the ray before them
    new = F.pad(new, (1, 0), value=True) & rays.valid.reshape(-1)
    new[:, 1:] |= rays.valid.reshape(-1)[1:] & ~rays.valid.reshape(-1)[:-1]
    return blocks[new].to(torch.int64)


def visible_blocks(grid: BlockGrid, rays: RayImage, T_world_camera: torch.Tensor) -> torch.Tensor:
    """(B,) rows of the blocks that may hold a voxel in front of, or just behind, the measured surface."""
    regions = _in_view(grid.regions.keys, REGION_BLOCKS * grid.block_size_m, grid, rays, T_world_camera)
    rows = grid.regions.rows(regions)
    return rows[_in_view(grid.keys[rows], grid.block_size_m, grid, rays, T_world_camera)]


def _in_view(
    cubes: torch.Tensor, edge_m: float, grid: BlockGrid, rays: RayImage, T_world_camera: torch.Tensor
) -> torch.Tensor:
    """Positions of those of the (N, 3) cubes, in units of their edge, whose bounding sphere reaches into the view."""
    radius_m = edge_m * 3**0.5 / 2
    centres = ((cubes + 0.5) * edge_m - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
    z = centres[:, 2]
    camera, farthest_m = rays.camera, rays.depth_m.max() + 2 * TRUNCATION_VOXELS * grid.voxel_size_m
    half_x = (max(camera.cx, camera.width - 1 - camera.cx) + 0.5) / camera.fx
    half_y = (max(camera.cy, camera.height - 1 - camera.cy) + 0.5) / camera.fy
    inside = (z > -radius_m) & (z < farthest_m + radius_m)
    for axis, half in ((0, half_x), (1, half_y)):
        inside &= centres[:, axis].abs() <= half * z.clamp(min=0) + radius_m * (1 + half * half) ** 0.5
    return inside.nonzero().squeeze(-1)


def look_up_updates(
    grid: BlockGrid, block_rows: torch.Tensor, rays: RayImage, updates: RayUpdates, T_world_camera: torch.Tensor
) -> VoxelUpdates:
    """The update of every voxel of the given blocks; differentiable with respect to `updates`."""
    voxel, ray, centres = _project(grid, block_rows, rays, T_world_camera)
    truncation_m = TRUNCATION_VOXELS * grid.voxel_size_m
    ahead = (rays.depth_m.reshape(-1)[ray] - centres[:, 2]) / truncation_m
    near = (ahead.abs() <= 2).nonzero().squeeze(-1)  # a slanted band reaches further along the ray
    near_ray = ray.index_select(0, near)
    free = (rays.nearest_m.reshape(-1)[ray] - centres[:, 2]).abs() > truncation_m
    plane_normal = rays.normals.reshape(-1, 3).index_select(0, near_ray)
    plane_point = rays.points_m.reshape(-1, 3).index_select(0, near_ray)
    distance = ((centres.index_select(0, near) - plane_point) * plane_normal).sum(-1) / truncation_m
    in_band = (distance.abs() <= 1).nonzero().squeeze(-1)
    band_ray, distance_in_band = near_ray.index_select(0, in_band), distance.index_select(0, in_band)
    slot = band_ray * SAMPLES + torch.round((1 - distance_in_band) * TRUNCATION_VOXELS).to(torch.int64)
    corrected = distance_in_band - updates.correction.reshape(-1).index_select(0, band_ray)
    return VoxelUpdates(
        voxel.index_select(0, near.index_select(0, in_band)),
        updates.confidence.reshape(-1).index_select(0, slot),
        corrected.clamp(-1, 1),
        updates.vectors.flatten(end_dim=-2).index_select(0, slot),
        torch.cat((voxel[free & (ahead > 2)], voxel[near[free[near] & (distance > 1)]])),
    )


def integrate(grid: BlockGrid, updates: VoxelUpdates, max_weight: float) -> None:
    """Merges the updates into the grid by a running mean whose weight is capped, so that the map can change.

    Band and free-space evidence share the cap: looking through a voxel for long enough makes it forget its surface.
    """
    values = grid.values.reshape(-1, grid.channels)
    state = values.index_select(0, updates.rows).float()
    values.index_copy_(0, updates.rows, merge(state, updates, max_weight).to(values.dtype))
    _vote_free(values, updates.free_rows, max_weight)


def _vote_free(values: torch.Tensor, rows: torch.Tensor, max_weight: float) -> None:
    """One more frame has looked through the voxels of these rows of the (N, C) values."""
    flat, first = values.reshape(-1), rows * values.shape[1]
    weight, free = flat.index_select(0, first + WEIGHT).float(), flat.index_select(0, first + FREE).float() + 1
    scale = _cap_factor(weight, free, max_weight)
    flat.index_copy_(0, first + FREE, (free * scale).to(flat.dtype))
    flat.index_copy_(0, first + WEIGHT, (weight * scale).to(flat.dtype))


def merge(state: torch.Tensor, updates: VoxelUpdates, max_weight: float) -> torch.Tensor:
    """(M, C) float32 states and the updates of the same voxels to the new states."""
    weight = state[:, WEIGHT] + updates.weight
    gain = updates.weight / weight
    step = updates.signed_distance - state[:, MEAN]
    merged = torch.empty_like(state)
    merged[:, WEIGHT] = weight
    merged[:, MEAN] = state[:, MEAN] + gain * step
    merged[:, VARIANCE] = (1 - gain) * (state[:, VARIANCE] + gain * step * step)
    merged[:, FREE] = state[:, FREE]
    merged[:, LATENT] = state[:, LATENT] + gain[:, None] * (updates.vectors - state[:, LATENT])
    scale = _cap_factor(weight, state[:, FREE], max_weight)
    merged[:, WEIGHT] *= scale
    merged[:, FREE] *= scale
    return merged


def _cap_factor(weight: torch.Tensor, free: torch.Tensor, max_weight: float) -> torch.Tensor:
    """(M,) factor on both kinds of evidence that keeps their sum below the cap."""
    return (max_weight / (weight + free)).clamp_(max=1)


def _project(
    grid: BlockGrid, block_rows: torch.Tensor, rays: RayImage, T_world_camera: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Voxels of the blocks that lie on a ray with a measurement, and not far behind it.

    Returns (N,) voxel rows, (N,) ray numbers and (N, 3) centres in the camera's frame.
    """
    rotation, translation = T_world_camera[:3, :3], T_world_camera[:3, 3]
    corners = (grid.keys[block_rows] * grid.block_size_m - translation) @ rotation
    inside_block = ((voxel_offsets(grid.device) + 0.5) * grid.voxel_size_m) @ rotation
    x, y, z = (corners[:, None, axis] + inside_block[:, axis] for axis in range(3))
    camera = rays.camera
    inverse_z = 1 / z.clamp(min=NEAREST_M)
    u = torch.round(x * inverse_z * camera.fx + camera.cx)
    v = torch.round(y * inverse_z * camera.fy + camera.cy)
    seen = (z > NEAREST_M) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    ray = torch.where(seen, v * camera.width + u, 0).to(torch.int64).reshape(-1)
    depth = rays.depth_m.reshape(-1).index_select(0, ray).reshape(z.shape)
    seen &= (depth > 0) & (z <= depth + 2 * TRUNCATION_VOXELS * grid.voxel_size_m)
    kept = seen.reshape(-1).nonzero().squeeze(-1)
    voxel = block_rows.index_select(0, kept >> 9) * BLOCK_VOXELS + (kept & (BLOCK_VOXELS - 1))
    centres = torch.stack([axis.reshape(-1).index_select(0, kept) for axis in (x, y, z)], dim=-1)
    return voxel, ray.index_select(0, kept), centres
