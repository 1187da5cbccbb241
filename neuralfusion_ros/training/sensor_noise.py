# SPDX-License-Identifier: Apache-2.0
"""What depth cameras do to exact depth.

Lengths in pixels are given for an image 640 wide and scale with the width, except the lateral jitter: it is in the
image's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import NormalDist
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from neuralfusion_ros.mapping.camera import PinholeCamera

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
MIN_DEPTH_M = 0.3
"""No outlier is nearer than this."""
_WOBBLE_SMOOTH_PX = 6.0


@dataclass(frozen=True)
class SensorNoise:
    """One sensor. The defaults are an ideal one, which returns its input.

    Axial noise: sigma(z) = level * (axial_m[0] + axial_m[1] * t + axial_m[2] * t^2), t = max(z - axial_from_m, 0).
    """

    family: str = "ideal"
    level: float = 0.0
    """Factor on the axial noise: 0 none, 2 mild, 5 hard, 10 extreme."""
    axial_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    axial_from_m: float = 0.0
    correlated_share: float = 0.0
    """Share of the axial variance that neighbours have in common."""
    correlation_px: float = 8.0
    lateral_px: float = 0.0
    """Standard deviation of the direction in which a pixel looks."""
    wobble_px: float = 0.0
    """Standard deviation of a smooth displacement of the image, other in every frame: outlines waver."""
    inverse_depth_step: float = 0.0
    """Quantisation of 1 / z in 1/m; 0 is none."""
    flying_share: float = 0.0
    """Share of the pixels beside a depth step that end up somewhere between near and far."""
    fattening_px: float = 0.0
    """How far near surfaces may grow over far ones."""
    baseline_m: float = 0.0
    """Distance of the second camera or projector, to the right. What it does not see has no depth."""
    corner_bias: float = 0.0
    """Part of the distance to nearer surroundings that is added to depth, as by multiple reflections."""
    wave_bias: float = 0.0
    """Standard deviation of a smooth error, relative to depth."""
    dark_share: float = 0.0
    """Share of the image that is dark: three times the noise, and every second pixel without depth."""
    outlier_share: float = 0.0
    """Share of the pixels with depth that have a wrong one; half as single pixels, half as blobs."""
    outlier_px: float = 3.0
    hole_share: float = 0.0
    hole_px: float = 12.0
    grazing_cosine: float = 0.0
    """Surfaces seen at a smaller cosine than about this have no depth."""
    streak_share: float = 0.0
    """Share of the image in streaks along the rows, where a stereo camera has matched the wrong place."""
    streak_inverse_m: float = 0.02
    """Standard deviation of the error of 1 / z there, in 1/m."""
    max_range_m: float = 8.0

    def apply(
        self, depth_m: Image, camera: PinholeCamera, rng: np.random.Generator, cosine: Image | None = None
    ) -> Image:
        """A noisy copy of exact depth (height, width) in metres; 0 = no measurement, and stays 0.

        cosine: (height, width) incidence cosine as from `DepthRenderer`; without it grazing surfaces leave no holes.
        Use one generator per frame, or one that runs on from frame to frame: errors are independent between frames.
        """
        scale = depth_m.shape[1] / 640
        depth = self._resampled(depth_m, rng, scale)
        lost = self._lost(depth, camera, rng, scale, cosine)
        depth = self._with_axial_error(depth, rng, scale, lost)
        lost |= (depth < 0.1) | (depth > self.max_range_m) | (depth_m <= 0)
        depth[lost] = 0.0
        return self._with_outliers(depth, rng, scale)

    def sigma_m(self, depth_m: Image | np.float32) -> Image:
        """Standard deviation of the axial noise at each depth, in metres."""
        constant, linear, quadratic = (np.float32(self.level * k) for k in self.axial_m)
        t = np.maximum(depth_m - np.float32(self.axial_from_m), 0)
        return cast(Image, constant + t * (linear + quadratic * t))

    def _resampled(self, depth: Image, rng: np.random.Generator, scale: float) -> Image:
        """Which surface each pixel sees: wavering outlines, lateral jitter, fattened edges and mixed pixels."""
        if self.wobble_px > 0:
            depth = _wavering(depth, rng, self.wobble_px * scale, _WOBBLE_SMOOTH_PX * scale)
        depth = _jittered(depth, rng, self.lateral_px) if self.lateral_px > 0 else depth.copy()
        reach = round(self.fattening_px * scale)
        if reach > 0:
            grown = _nearest_around(depth, reach)
            depth = np.where(_blobs(rng, depth.shape, 0.5, 10 * scale) & (depth - grown > 0.03 * grown), grown, depth)
        if self.flying_share > 0:
            near, far = _nearest_around(depth, 1), _farthest_around(depth, 1)
            mixed = np.flatnonzero((far - near > 0.05 * far + 0.02) & (near > 0) & (depth > 0))
            mixed = mixed[rng.random(mixed.size, dtype=np.float32) < self.flying_share]
            low, high = near.flat[mixed], far.flat[mixed]
            depth.flat[mixed] = low + (high - low) * rng.random(mixed.size, dtype=np.float32)
        return depth

    def _lost(
        self, depth: Image, camera: PinholeCamera, rng: np.random.Generator, scale: float, cosine: Image | None
    ) -> Mask:
        """Pixels without depth: unseen by the second camera, grazing, or in a random hole."""
        lost = np.zeros(depth.shape, dtype=bool)
        if self.baseline_m > 0:
            lost |= _shadow(depth, camera.fx * self.baseline_m)
        if self.grazing_cosine > 0 and cosine is not None:
            limit = self.grazing_cosine * (1 + 0.5 * rng.standard_normal(depth.shape, dtype=np.float32))
            lost |= cosine < limit
        if self.hole_share > 0:
            lost |= _blobs(rng, depth.shape, self.hole_share, self.hole_px * scale)
        return lost

    def _with_axial_error(self, depth: Image, rng: np.random.Generator, scale: float, lost: Mask) -> Image:
        """Noise and bias along the ray, then quantisation. Marks dark pixels in `lost`."""
        shape, exact = depth.shape, depth
        if self.corner_bias > 0:
            depth = depth + self.corner_bias * np.clip(exact - _surroundings(exact, 40 * scale), 0, 0.3)
        if self.wave_bias > 0:
            depth = depth + self.wave_bias * exact * smooth_field(rng, shape, 60 * scale)
        if self.level > 0:
            noise = rng.standard_normal(shape, dtype=np.float32)
            if self.correlated_share > 0:
                common = smooth_field(rng, shape, self.correlation_px * scale)
                noise = sqrt(1 - self.correlated_share) * noise + sqrt(self.correlated_share) * common
            if self.dark_share > 0:
                dark = _blobs(rng, shape, self.dark_share, 30 * scale)
                noise[dark] *= 3
                lost |= dark & (rng.random(shape, dtype=np.float32) < 0.5)
            depth = depth + self.sigma_m(exact) * noise
        if self.streak_share > 0:
            depth = self._streaked(depth, rng, scale)
        if self.inverse_depth_step > 0:
            step = np.float32(self.inverse_depth_step)
            steps = np.rint(1 / (step * np.maximum(depth, np.float32(0.05))))
            depth = (1 / (step * np.maximum(steps, 1))).astype(np.float32)
        return depth

    def _streaked(self, depth: Image, rng: np.random.Generator, scale: float) -> Image:
        size_px = (scale, 25 * scale)
        inside = smooth_field(rng, depth.shape, size_px) > _threshold(self.streak_share)
        error = np.float32(self.streak_inverse_m) * smooth_field(rng, depth.shape, size_px)
        wrong = 1 / np.maximum(1 / np.maximum(depth, np.float32(0.05)) + error, np.float32(0.05))
        return np.where(inside & (depth > 0), wrong, depth)

    def _with_outliers(self, depth: Image, rng: np.random.Generator, scale: float) -> Image:
        if self.outlier_share <= 0:
            return depth
        valid = depth > 0
        single = valid & (rng.random(depth.shape, dtype=np.float32) < self.outlier_share / 2)
        depth[single] = self._wrong(depth[single], rng)
        blobs, count = ndimage.label(valid & _blobs(rng, depth.shape, self.outlier_share / 2, self.outlier_px * scale))
        inside = np.flatnonzero(blobs)
        labels = blobs.flat[inside]
        # A blob is a surface of its own: one depth with a little noise, or one offset from what is behind it.
        seeds = np.zeros(count + 1, dtype=np.float32)
        seeds[labels] = depth.flat[inside]
        offsets = self._wrong(seeds, rng) - seeds
        flat = rng.random(count + 1) < 0.5
        shifted = np.where(flat[labels], seeds[labels], depth.flat[inside]) + offsets[labels]
        spread = 1 + np.float32(0.01) * rng.standard_normal(inside.size, dtype=np.float32)
        depth.flat[inside] = np.clip(shifted * spread, MIN_DEPTH_M, self.max_range_m)
        return depth

    def _wrong(self, depth: Image, rng: np.random.Generator) -> Image:
        """Wrong depths (N,): half anywhere in range, half 5 to 50 cm off."""
        anywhere = rng.uniform(MIN_DEPTH_M, self.max_range_m, depth.shape)
        beside = depth + rng.choice([-1.0, 1.0], depth.shape) * rng.uniform(0.05, 0.5, depth.shape)
        wrong = np.where(rng.random(depth.shape) < 0.5, anywhere, np.maximum(beside, MIN_DEPTH_M))
        return np.minimum(wrong, self.max_range_m).astype(np.float32)


@lru_cache(maxsize=64)
def _kernel(size: int, sigma_px: float) -> sparse.csr_array:
    """(size, nodes) Gaussian weights of nodes sigma apart; rows have unit length, so variance is 1 everywhere."""
    nodes = np.arange(-3, int(np.ceil(size / sigma_px)) + 4) * sigma_px
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - nodes) / sigma_px) ** 2)
    weights[weights < np.exp(-4.5)] = 0.0
    return sparse.csr_array((weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32))


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float | tuple[float, float]) -> Image:
    """A stationary random field with mean 0, variance 1 and correlation exp(-d^2 / (4 sigma^2)) at d pixels.

    sigma_px: along both axes, or along columns and along rows.
    """
    along = (sigma_px, sigma_px) if isinstance(sigma_px, float | int) else sigma_px
    rows, columns = (_kernel(size, max(sigma, 0.7)) for size, sigma in zip(shape, along, strict=True))
    nodes = rng.standard_normal((columns.shape[1], rows.shape[1]), dtype=np.float32)
    return cast(Image, rows @ np.ascontiguousarray((columns @ nodes).T))


def _blobs(rng: np.random.Generator, shape: tuple[int, ...], share: float, sigma_px: float) -> Mask:
    """Random patches that cover `share` of the image on average."""
    return smooth_field(rng, shape, sigma_px) > _threshold(share)


def _threshold(share: float) -> np.float32:
    """What a standard normal number exceeds with this probability."""
    return np.float32(NormalDist().inv_cdf(1 - share))


@lru_cache(maxsize=64)
def _whole_steps(sigma_px: float) -> NDArray[np.int32]:
    """256 equally likely whole steps of a Gaussian with standard deviation sigma_px."""
    normal = NormalDist(0, sigma_px)
    return np.array([round(normal.inv_cdf((i + 0.5) / 256)) for i in range(256)], dtype=np.int32)


def _wavering(depth: Image, rng: np.random.Generator, sigma_px: float, smooth_px: float) -> Image:
    """Every pixel sees what another one a smooth random step away would see."""
    height, width = depth.shape
    down, right = (np.rint(sigma_px * smooth_field(rng, depth.shape, smooth_px)).astype(np.intp) for _ in range(2))
    rows = np.clip(np.arange(height)[:, None] + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    return depth[rows, columns]


def _jittered(depth: Image, rng: np.random.Generator, sigma_px: float) -> Image:
    """Each pixel takes the depth of the pixel nearest to a Gaussian step away."""
    height, width = depth.shape
    steps = _whole_steps(sigma_px)[rng.integers(0, 256, (2, height, width), dtype=np.uint8)]
    v = np.clip(np.arange(height, dtype=np.int32)[:, None] + steps[0], 0, height - 1)
    u = np.clip(np.arange(width, dtype=np.int32) + steps[1], 0, width - 1)
    return cast(Image, depth.ravel()[v * width + u])


def _farthest_around(depth: Image, reach: int) -> Image:
    """Largest depth in a square window of 2 reach + 1 pixels."""
    far, done = depth.copy(), 0
    while done < reach:
        # Windows of 2 done + 1 pixels may be that far apart without a gap.
        step = min(2 * done + 1, reach - done)
        for axis in (0, 1):
            image = np.moveaxis(far, axis, 0)
            before = image.copy()
            np.maximum(image[step:], before[:-step], out=image[step:])
            np.maximum(image[:-step], before[step:], out=image[:-step])
        done += step
    return far


def _nearest_around(depth: Image, reach: int) -> Image:
    """Smallest depth in a square window; 0 where the window has none."""
    nearest = -_farthest_around(np.where(depth > 0, -depth, np.float32(-np.inf)), reach)
    nearest[~np.isfinite(nearest)] = 0.0
    return nearest


def _shadow(depth: Image, focal_baseline: float) -> Mask:
    """Pixels that a second camera to the right does not see, because something nearer stands in between."""
    disparity = focal_baseline / np.maximum(depth, np.float32(1e-3))
    column = np.where(depth > 0, np.arange(depth.shape[1], dtype=np.float32) - disparity, np.float32(np.inf))
    nearest_right = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return column > nearest_right


def _surroundings(depth: Image, reach_px: float) -> Image:
    """Mean depth in a square window reaching that far, over pixels with depth."""
    size = 2 * round(reach_px) + 1
    total = ndimage.uniform_filter(depth, size)
    share = ndimage.uniform_filter((depth > 0).astype(np.float32), size)
    return cast(Image, total / np.maximum(share, np.float32(1e-3)))
