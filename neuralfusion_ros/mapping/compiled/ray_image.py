# SPDX-License-Identifier: Apache-2.0
"""From a depth image to rays, compiled: the statistics of a tile and the plane fit of a window, one ray at a time.

The formulas are those of mapping/ray_image.py, with its names.
"""

from __future__ import annotations

import numpy as np
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.pinhole import Pinhole, pinhole_of
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.ray_image import (
    CLIP_VOXELS,
    MIN_VALID_SHARE,
    PLANE_RIDGE,
    RAY_FEATURES,
    RING_DILATION,
    WINDOW,
    RayImage,
    pooling_factor,
)
from neuralfusion_ros.mapping.settings import MapSettings

_TILE, _PLANE, _RING, _FAR_RING = 1, 6, 10, 18  # first feature of each group; before them the distance between rays
_HALF = WINDOW // 2
_ROWS = 8  # the least that is worth a thread
_PADDING = RING_DILATION  # of the pooled image, so that no window leaves it


def make_rays(depth_m: torch.Tensor, camera: PinholeCamera, settings: MapSettings) -> RayImage:
    """As the function of the same name in mapping/ray_image.py, on the CPU."""
    factor = pooling_factor(depth_m, camera, settings)
    pooled = camera.pooled(factor)
    size = (pooled.height, pooled.width)
    depth = np.zeros((size[0] + 2 * _PADDING, size[1] + 2 * _PADDING), np.float32)
    nearest = np.empty(size, np.float32)
    points, normals = np.zeros((*size, 3), np.float32), np.empty((*size, 3), np.float32)
    features = np.zeros((*size, RAY_FEATURES), np.float32)
    voxel_size_m = np.float32(settings.voxel_size_m)
    image, pinhole = depth_m.numpy(), pinhole_of(pooled)
    usable_m = (np.float32(settings.min_depth_m), np.float32(settings.max_depth_m))
    in_threads(
        lambda rows: _pool(image, usable_m, factor, voxel_size_m, rows.start, rows.stop, depth, features),
        size[0],
        _ROWS,
    )
    in_threads(
        lambda rows: _describe(depth, pinhole, voxel_size_m, rows.start, rows.stop, nearest, points, normals, features),
        size[0],
        _ROWS,
    )
    inside = np.ascontiguousarray(depth[_PADDING:-_PADDING, _PADDING:-_PADDING])
    return RayImage(pooled, *(torch.from_numpy(part) for part in (inside, nearest, points, normals, features)))


@kernel
def _pool(
    depth_m: Floats,
    usable_m: tuple[np.float32, np.float32],
    factor: int,
    voxel_size_m: np.float32,
    first: int,
    end: int,
    depth: Floats,
    features: Floats,
) -> None:
    """Writes rows first..end. usable_m: smallest and largest depth. depth: (h + 2 padding, w + 2 padding) zeros.

    features: (h, w, RAY_FEATURES) zeros.
    """
    tile = np.empty(factor * factor + 1, np.float32)
    area = np.float32(factor * factor)
    for v in range(first, end):
        for u in range(features.shape[1]):
            n_valid = _measured(depth_m, usable_m, v * factor, u * factor, factor, tile)
            if n_valid < max(np.float32(1), np.float32(MIN_VALID_SHARE) * area):
                continue
            median = _median(tile[:n_valid])
            tolerance = max(np.float32(0.02) * median, voxel_size_m)
            n_inlier, total, squares = 0, np.float32(0), np.float32(0)
            nearest, farthest = median, median
            for i in range(n_valid):
                nearest, farthest = min(nearest, tile[i]), max(farthest, tile[i])
                deviation = tile[i] - median
                if abs(deviation) <= tolerance:
                    n_inlier += 1
                    total += deviation
            mean = total / np.float32(n_inlier)
            for i in range(n_valid):
                deviation = tile[i] - median
                if abs(deviation) <= tolerance:
                    squares += (deviation - mean) * (deviation - mean)
            pooled = median + mean
            depth[v + _PADDING, u + _PADDING] = pooled
            spread = np.sqrt(squares / np.float32(n_inlier))
            features[v, u, _TILE] = np.float32(n_valid) / area
            features[v, u, _TILE + 1] = np.float32(n_inlier) / np.float32(n_valid)
            features[v, u, _TILE + 2] = _in_voxels(spread, voxel_size_m)
            features[v, u, _TILE + 3] = _in_voxels(nearest - pooled, voxel_size_m)
            features[v, u, _TILE + 4] = _in_voxels(farthest - pooled, voxel_size_m)


@kernel
def _measured(
    depth_m: Floats, usable_m: tuple[np.float32, np.float32], first_v: int, first_u: int, factor: int, tile: Floats
) -> int:
    """usable_depth of the reference: puts what is usable of a tile to the front of `tile`; returns how much it is."""
    n = 0
    for v in range(first_v, first_v + factor):
        for u in range(first_u, first_u + factor):
            depth = depth_m[v, u]
            tile[n] = depth  # without a branch: the next one takes its place if it is not usable
            n += int((depth > 0) & (depth >= usable_m[0]) & (depth <= usable_m[1]))
    return n


@kernel
def _median(numbers: Floats) -> np.float32:
    """The number that would be in the middle, were they sorted. Counting has no branches; a few counts are enough."""
    middle = at = len(numbers) // 2  # of a slanted plane it is near the median already
    below, above = np.float32(-np.inf), np.float32(np.inf)  # the median lies between them
    for _ in range(len(numbers)):
        number = numbers[at]
        at = at + 1 if at + 1 < len(numbers) else 0
        if not below < number < above:
            continue
        n_less = n_not_more = np.int32(0)
        for other in numbers:
            n_less += np.int32(other < number)
            n_not_more += np.int32(other <= number)
        if n_less > middle:
            above = number
        elif n_not_more <= middle:
            below = number
        else:
            return number
    return np.float32(0)


@kernel
def _describe(
    depth: Floats,
    camera: Pinhole,
    voxel_size_m: np.float32,
    first: int,
    end: int,
    nearest: Floats,
    points: Floats,
    normals: Floats,
    features: Floats,
) -> None:
    """Measured points, normals and what the features say of the surroundings, for rays in rows first..end."""
    window = np.empty((2, WINDOW, WINDOW), np.float32)
    for v in range(first, end):
        for u in range(features.shape[1]):
            x, y = (np.float32(u) - camera.cx) / camera.fx, (np.float32(v) - camera.cy) / camera.fy
            centre = depth[v + _PADDING, u + _PADDING]
            slope_u, slope_v = np.float32(0), np.float32(0)
            nearest[v, u] = _nearest(depth, v, u)
            if centre > 0:
                points[v, u, 0], points[v, u, 1], points[v, u, 2] = x * centre, y * centre, centre
                spacing = centre / camera.fx / voxel_size_m
                features[v, u, 0] = np.log2(min(max(spacing, np.float32(2**-4)), np.float32(2**4))) / np.float32(2)
                slope_u, slope_v = _fit_plane(depth, v, u, voxel_size_m, window, features[v, u])
                _rings(depth, v, u, voxel_size_m, features[v, u])
            b, c = slope_u * camera.fx, slope_v * camera.fy
            a = np.float32(1) - b * x - c * y
            length = np.sqrt(a * a + b * b + c * c)
            normals[v, u, 0], normals[v, u, 1], normals[v, u, 2] = -b / length, -c / length, -a / length
            if centre > 0:
                ray_length = np.sqrt(x * x + y * y + np.float32(1))
                features[v, u, _PLANE + 2] = (b * x + c * y + a) / (length * ray_length)


@kernel
def _nearest(depth: Floats, v: int, u: int) -> np.float32:
    """_nearest of the reference for one ray."""
    nearest = np.float32(np.inf)
    for i in range(-1, 2):
        for j in range(-1, 2):
            near = depth[v + _PADDING + i, u + _PADDING + j]
            nearest = min(nearest, near if near > 0 else np.float32(np.inf))
    return nearest


@kernel
def _fit_plane(
    depth: Floats, v: int, u: int, voxel_size_m: np.float32, window: Floats, features: Floats
) -> tuple[np.float32, np.float32]:
    """Slopes of the inverse depth, relative to that of the ray, across the window; writes how well they fit."""
    centre = depth[v + _PADDING, u + _PADDING]
    reach = np.float32(CLIP_VOXELS) * voxel_size_m
    weight, ratio = window[0], window[1]
    s = su = sv = suu = suv = svv = r = ru = rv = np.float32(0)
    for i in range(WINDOW):
        for j in range(WINDOW):
            near = depth[v + _PADDING - _HALF + i, u + _PADDING - _HALF + j]
            du, dv = np.float32(j - _HALF), np.float32(i - _HALF)
            part = near > 0 and abs(near - centre) < reach
            w = np.float32(1) if part else np.float32(0)
            q = centre / near - np.float32(1) if part else np.float32(0)
            weight[i, j], ratio[i, j] = w, q
            s, su, sv = s + w, su + w * du, sv + w * dv
            suu, suv, svv = suu + w * du * du, suv + w * du * dv, svv + w * dv * dv
            r, ru, rv = r + q, ru + q * du, rv + q * dv
    cuu, cvv = suu - su * su / s + np.float32(PLANE_RIDGE), svv - sv * sv / s + np.float32(PLANE_RIDGE)
    cuv, cru, crv = suv - su * sv / s, ru - r * su / s, rv - r * sv / s
    det = cuu * cvv - cuv * cuv
    slope_u, slope_v = (cru * cvv - crv * cuv) / det, (crv * cuu - cru * cuv) / det
    level = (r - slope_u * su - slope_v * sv) / s
    squares = np.float32(0)
    for i in range(WINDOW):
        for j in range(WINDOW):
            du, dv = np.float32(j - _HALF), np.float32(i - _HALF)
            residual = (ratio[i, j] - level - slope_u * du - slope_v * dv) * weight[i, j]
            squares += residual * residual
    features[_PLANE] = _in_voxels(-level * centre, voxel_size_m)
    features[_PLANE + 1] = _in_voxels(np.sqrt(squares / s) * centre, voxel_size_m)
    features[_PLANE + 3] = s / np.float32(WINDOW * WINDOW) - np.float32(0.5)
    return slope_u, slope_v


@kernel
def _rings(depth: Floats, v: int, u: int, voxel_size_m: np.float32, features: Floats) -> None:
    """Steps from the ray to its eight neighbours, near and further away; 0 where nothing was measured."""
    centre = depth[v + _PADDING, u + _PADDING]
    place = 0
    for i in range(-1, 2):
        for j in range(-1, 2):
            if i == 0 and j == 0:
                continue
            near = depth[v + _PADDING + i, u + _PADDING + j]
            far = depth[v + _PADDING + i * RING_DILATION, u + _PADDING + j * RING_DILATION]
            features[_RING + place] = _in_voxels(near - centre, voxel_size_m) if near > 0 else np.float32(0)
            features[_FAR_RING + place] = _in_voxels(far - centre, voxel_size_m) if far > 0 else np.float32(0)
            place += 1


@kernel
def _in_voxels(distance_m: np.float32, voxel_size_m: np.float32) -> np.float32:
    """_in_voxels of the reference for one number."""
    share = distance_m / (np.float32(CLIP_VOXELS) * voxel_size_m)
    return min(max(share, np.float32(-1)), np.float32(1))
