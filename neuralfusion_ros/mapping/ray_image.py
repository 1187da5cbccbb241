# SPDX-License-Identifier: Apache-2.0
"""From a depth image to rays that are about one voxel apart, each with its tangent plane and its surroundings.

A depth camera has many more pixels than a map has voxels. Tiles of pixels become one ray: the mean of the pixels
that agree with the tile's median, so that averaging removes noise and edges stay sharp. How much the pixels
disagreed is kept as input of the fusion network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.settings import MapSettings

MAX_POOLING = 8
WINDOW = 5  # rays on a side of the window of the plane fit
RING_DILATION = 4
CLIP_VOXELS = 4.0
RAY_FEATURES = 10 + 8 + 8
MIN_VALID_SHARE = 0.2
PLANE_RIDGE = 0.5  # pulls the slope of a plane that rests on few pixels towards zero


@dataclass(frozen=True)
class RayImage:
    """Rays of one depth image in the frame of the camera.

    camera: of the pooled image, h x w. depth_m: (h, w), 0 where the ray has no measurement. nearest_m: (h, w) the least
    depth of the ray and the eight around it, infinite without one. points_m: (h, w, 3) measured points. normals:
    (h, w, 3) unit normals of the tangent planes, facing the camera. features: (h, w, RAY_FEATURES) inputs of the fusion
    network, of order one.
    """

    camera: PinholeCamera
    depth_m: torch.Tensor
    nearest_m: torch.Tensor
    points_m: torch.Tensor
    normals: torch.Tensor
    features: torch.Tensor

    @property
    def valid(self) -> torch.Tensor:
        """(h, w) bool: the ray has a measurement."""
        return self.depth_m > 0


def make_rays(depth_m: torch.Tensor, camera: PinholeCamera, settings: MapSettings) -> RayImage:
    """Pools a (H, W) depth image in metres (0, NaN or infinity: nothing measured) into a RayImage."""
    depth_m = usable_depth(depth_m, settings)
    factor = pooling_factor(depth_m, camera, settings)
    pooled_camera = camera.pooled(factor)
    depth, tile_features = _pool(depth_m, factor, pooled_camera, settings.voxel_size_m)
    rays = pooled_camera.rays(depth.device)
    normals, plane_features = _tangent_planes(depth, pooled_camera, rays, settings.voxel_size_m)
    features = torch.cat((_range_features(depth, pooled_camera, settings), tile_features, plane_features), dim=-1)
    features = torch.where((depth > 0)[..., None], features, 0.0)
    return RayImage(pooled_camera, depth, _nearest(depth), rays * depth[..., None], normals, features)


def usable_depth(depth_m: torch.Tensor, settings: MapSettings) -> torch.Tensor:
    """(H, W) depth in metres, 0 where it is not a number or out of range."""
    usable = (depth_m >= settings.min_depth_m) & (depth_m <= settings.max_depth_m)  # false for NaN
    return torch.where(usable, depth_m, 0.0)


def pooling_factor(depth_m: torch.Tensor, camera: PinholeCamera, settings: MapSettings) -> int:
    """Edge of the tiles in pixels that makes rays one voxel apart at the median depth, 1 to MAX_POOLING."""
    sample = usable_depth(depth_m[::8, ::8], settings)
    sample = sample[sample > 0]
    median_m = float(sample.median()) if len(sample) else 1.0
    largest = min(MAX_POOLING, camera.width // WINDOW, camera.height // WINDOW)
    return max(1, min(round(camera.fx * settings.voxel_size_m / median_m), largest))


def _pool(
    depth_m: torch.Tensor, factor: int, pooled: PinholeCamera, voxel_size_m: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled depth (h, w) and (h, w, 5) features: valid share, inlier share, spread, nearest, farthest."""
    tiles = _sorted_tiles(depth_m, factor, pooled)
    valid = tiles > 0
    n_valid = valid.sum(dim=-1)
    first = factor * factor - n_valid  # zeros sort to the front
    middle = (first + n_valid // 2).clamp(max=factor * factor - 1)
    median = tiles.gather(-1, middle[..., None])
    deviation = tiles - median
    inlier = valid & (deviation.abs() <= torch.clamp(0.02 * median, min=voxel_size_m))
    n_inlier = inlier.sum(dim=-1).clamp(min=1)
    mean_deviation = torch.where(inlier, deviation, 0.0).sum(dim=-1) / n_inlier
    spread = (torch.where(inlier, deviation - mean_deviation[..., None], 0.0).square().sum(-1) / n_inlier).sqrt()
    enough = n_valid >= max(1.0, MIN_VALID_SHARE * factor * factor)
    depth = torch.where(enough, median.squeeze(-1) + mean_deviation, 0.0)
    nearest = tiles.gather(-1, first.clamp(max=factor * factor - 1)[..., None]).squeeze(-1)
    features = (
        n_valid / factor**2,
        n_inlier / n_valid.clamp(min=1),
        _in_voxels(spread, voxel_size_m),
        _in_voxels(nearest - depth, voxel_size_m),
        _in_voxels(tiles[..., -1] - depth, voxel_size_m),
    )
    return depth, torch.stack(features, dim=-1)


def _sorted_tiles(depth_m: torch.Tensor, factor: int, pooled: PinholeCamera) -> torch.Tensor:
    """(h, w, factor^2) depths of every tile in ascending order."""
    cropped = depth_m[: pooled.height * factor, : pooled.width * factor]
    tiles = cropped.reshape(pooled.height, factor, pooled.width, factor).transpose(1, 2)
    tiles = tiles.reshape(pooled.height, pooled.width, factor * factor)
    if tiles.device.type == "cpu":  # numpy sorts short rows several times faster than torch does
        return torch.from_numpy(np.sort(tiles.numpy(), axis=-1))
    return tiles.sort(dim=-1).values


def _nearest(depth: torch.Tensor) -> torch.Tensor:
    """(h, w) the least depth of each pixel and the eight around it; infinite where nothing was measured."""
    measured = torch.where(depth > 0, depth, torch.inf)
    return -F.max_pool2d(-measured[None, None], 3, stride=1, padding=1)[0, 0]


def _tangent_planes(
    depth: torch.Tensor, camera: PinholeCamera, rays: torch.Tensor, voxel_size_m: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normals (h, w, 3) and (h, w, 19) features of the surroundings.

    On a plane the inverse depth is linear in the pixel coordinates, so a linear fit over a window gives its normal.
    """
    h, w = depth.shape
    near = _windows(depth, WINDOW, 1)
    offset = torch.arange(WINDOW, device=depth.device, dtype=depth.dtype) - WINDOW // 2
    dv, du = (o.reshape(-1) for o in torch.meshgrid(offset, offset, indexing="ij"))
    centre = depth.reshape(-1, 1)
    weight = ((near > 0) & ((near - centre).abs() < CLIP_VOXELS * voxel_size_m)).to(depth.dtype)
    ratio = torch.where(weight > 0, centre / near.clamp(min=1e-6) - 1, 0.0)
    s, su, sv, suu, suv, svv = (weight @ torch.stack((torch.ones_like(du), du, dv, du * du, du * dv, dv * dv), 1)).T
    r, ru, rv = (ratio @ torch.stack((torch.ones_like(du), du, dv), 1)).T
    s = s.clamp(min=1)
    cuu, cvv = suu - su * su / s + PLANE_RIDGE, svv - sv * sv / s + PLANE_RIDGE
    cuv, cru, crv = suv - su * sv / s, ru - r * su / s, rv - r * sv / s
    det = cuu * cvv - cuv * cuv
    slope_u, slope_v = (cru * cvv - crv * cuv) / det, (crv * cuu - cru * cuv) / det
    level = (r - slope_u * su - slope_v * sv) / s
    residual = (ratio - level[:, None] - slope_u[:, None] * du - slope_v[:, None] * dv) * weight
    rms = (residual.square().sum(-1) / s).sqrt()
    x, y = rays[..., 0].reshape(-1), rays[..., 1].reshape(-1)
    b, c = slope_u * camera.fx, slope_v * camera.fy
    normals = -F.normalize(torch.stack((b, c, 1 - b * x - c * y), dim=-1), dim=-1)
    cosine = -(normals * F.normalize(rays.reshape(-1, 3), dim=-1)).sum(-1)
    flat = centre.squeeze(-1)
    plane = torch.stack(
        (_in_voxels(-level * flat, voxel_size_m), _in_voxels(rms * flat, voxel_size_m), cosine, s / WINDOW**2 - 0.5), -1
    )
    steps = _neighbour_steps(near[:, _RING_IN_WINDOW], centre, voxel_size_m)
    far_steps = _neighbour_steps(_windows(depth, 3, RING_DILATION)[:, _RING], centre, voxel_size_m)
    return normals.reshape(h, w, 3), torch.cat((plane, steps, far_steps), dim=-1).reshape(h, w, -1)


_RING = [0, 1, 2, 3, 5, 6, 7, 8]
_RING_IN_WINDOW = [(i // 3 + 1) * WINDOW + i % 3 + 1 for i in _RING]


def _windows(depth: torch.Tensor, size: int, dilation: int) -> torch.Tensor:
    """(h, w) to (h * w, size^2) surroundings of every pixel, 0 outside the image."""
    padding = size // 2 * dilation
    return F.unfold(depth[None, None], size, dilation=dilation, padding=padding)[0].T


def _neighbour_steps(neighbours: torch.Tensor, centre: torch.Tensor, voxel_size_m: float) -> torch.Tensor:
    return torch.where(neighbours > 0, _in_voxels(neighbours - centre, voxel_size_m), 0.0)


def _range_features(depth: torch.Tensor, camera: PinholeCamera, settings: MapSettings) -> torch.Tensor:
    """(h, w, 1) distance between rays in voxels: tells how coarsely the surface is sampled."""
    spacing = depth / camera.fx / settings.voxel_size_m
    return torch.log2(spacing.clamp(min=2**-4, max=2**4))[..., None] / 2


def _in_voxels(distance_m: torch.Tensor, voxel_size_m: float) -> torch.Tensor:
    """Distance in units of CLIP_VOXELS voxels, clipped to [-1, 1]."""
    return (distance_m / (CLIP_VOXELS * voxel_size_m)).clamp(-1, 1)
