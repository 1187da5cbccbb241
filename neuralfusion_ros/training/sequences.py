# SPDX-License-Identifier: Apache-2.0
"""Endless training data by seed: exact depth of random rooms, and noisy streams of frames made from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.camera_paths import hand_path
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import Scene, random_room
from neuralfusion_ros.training.sensor_noise import SensorNoise, jitter_pose, random_sensor

SEQUENCE_FRAMES = 48
_IMAGE_SIZES = ((320, 240), (480, 360), (640, 480))


@dataclass(frozen=True)
class CleanSequence:
    """Exact depth along a path through one scene.

    depth_m: (F, H, W) float32, 0 = nothing hit. cosine: (F, H, W) float32 incidence cosine. poses: (F, 4, 4) float64
    T_world_camera.
    """

    scene: Scene
    camera: PinholeCamera
    depth_m: npt.NDArray[np.float32]
    cosine: npt.NDArray[np.float32]
    poses: npt.NDArray[np.float64]


def render_sequence(seed: int, frames: int = SEQUENCE_FRAMES) -> CleanSequence:
    """A random room seen along a random path by a camera of random size and field of view (54 to 75 degrees)."""
    rng = np.random.default_rng([seed, 1])
    scene = random_room(seed)
    width, height = _IMAGE_SIZES[rng.integers(len(_IMAGE_SIZES))]
    focal = float(rng.uniform(0.65, 0.98) * width)
    cx, cy = (width - 1) / 2 + rng.uniform(-5, 5), (height - 1) / 2 + rng.uniform(-5, 5)
    camera = PinholeCamera(width, height, focal, focal, float(cx), float(cy))
    renderer = DepthRenderer(*scene.mesh())
    poses = hand_path(scene, rng, frames)
    rendered = [renderer.render_with_cosine(camera, pose) for pose in poses]
    depth, cosine = (np.stack(images) for images in zip(*rendered, strict=True))
    return CleanSequence(scene, camera, depth, cosine, poses)


@dataclass(frozen=True)
class NoisyFrame:
    """What the mapper gets. depth_m: (H, W) float32. T_world_camera: (4, 4) float64, with tracking error."""

    depth_m: npt.NDArray[np.float32]
    T_world_camera: npt.NDArray[np.float64]


class NoisyStream:
    """One pass of one sensor through a clean sequence: random start, stride, voxel size, sensor and tracking error."""

    def __init__(self, sequence: CleanSequence, rng: np.random.Generator) -> None:
        self.sequence = sequence
        self._rng = rng
        self.voxel_size_m = float(np.exp(rng.uniform(np.log(0.02), np.log(0.04))))
        self.sensor: SensorNoise = random_sensor(rng)
        self._pose_error_m = float(rng.uniform(0, 0.006) * rng.integers(0, 2))
        self._pose_error_rad = float(np.deg2rad(rng.uniform(0, 0.3)) * (self._pose_error_m > 0))
        frames = np.arange(0, len(sequence.poses), int(rng.integers(1, 4)))
        if rng.random() < 0.5:
            frames = frames[::-1]
        self._frames = np.roll(frames, int(rng.integers(len(frames))))[: int(rng.integers(6, len(frames) + 1))]
        self._next = 0

    @property
    def exhausted(self) -> bool:
        """All frames have been taken."""
        return self._next >= len(self._frames)

    @property
    def seen(self) -> npt.NDArray[np.int64]:
        """Numbers of the clean frames taken so far."""
        return self._frames[: self._next]

    def take(self, count: int) -> list[NoisyFrame]:
        """The next frames, at most `count`."""
        numbers = self._frames[self._next : self._next + count]
        self._next += len(numbers)
        return [self._noisy(int(number)) for number in numbers]

    def visible(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) world points to (N,) bool: some frame taken so far looked at or through the point."""
        result = torch.zeros(len(points), dtype=torch.bool)
        camera = self.sequence.camera
        for number in self.seen:
            pose = torch.from_numpy(self.sequence.poses[number]).float()
            local = (points - pose[:3, 3]) @ pose[:3, :3]
            uv = torch.round(camera.project(local)).nan_to_num(-1, -1, -1)
            inside = (local[:, 2] > 0.05) & (uv[:, 0] >= 0) & (uv[:, 0] < camera.width)
            inside &= (uv[:, 1] >= 0) & (uv[:, 1] < camera.height)
            u, v = (torch.where(inside, uv[:, axis], 0).long() for axis in (0, 1))
            result |= inside & (torch.from_numpy(self.sequence.depth_m[number])[v, u] >= local[:, 2])
        return result

    def _noisy(self, number: int) -> NoisyFrame:
        clean = self.sequence
        depth = self.sensor.apply(clean.depth_m[number], clean.camera, self._rng, clean.cosine[number])
        pose = jitter_pose(clean.poses[number], self._rng, self._pose_error_m, self._pose_error_rad)
        return NoisyFrame(depth, pose)


class StreamSource:
    """Hands out streams from a pool of rendered sequences, and keeps the pool fresh.

    pool: sequences held at once. A new one is rendered every `refresh` streams. The same seed gives the same streams.
    """

    def __init__(self, seed: int, pool: int = 16, refresh: int = 4) -> None:
        self._rng = np.random.default_rng([seed, 2])
        self._seed, self._pool_size, self._refresh = seed, pool, refresh
        self._pool: list[CleanSequence] = []
        self._rendered = 0
        self._handed_out = 0

    def stream(self) -> NoisyStream:
        """A stream nobody has seen before."""
        if len(self._pool) < self._pool_size and self._rendered <= self._handed_out:
            self._pool.append(self._render())
        elif self._handed_out % self._refresh == 0:
            self._pool[int(self._rng.integers(len(self._pool)))] = self._render()
        self._handed_out += 1
        sequence = self._pool[int(self._rng.integers(len(self._pool)))]
        return NoisyStream(sequence, np.random.default_rng(self._rng.integers(1 << 63)))

    def _render(self) -> CleanSequence:
        self._rendered += 1
        return render_sequence(self._seed * 1_000_003 + self._rendered)
