# SPDX-License-Identifier: Apache-2.0
"""Training data by seed: exact depth of random rooms, and noisy streams of frames made from it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.camera_paths import hand_path
from neuralfusion_ros.training.depth_distortion import random_distortion
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import Scene, random_room, tilted
from neuralfusion_ros.training.sensor_families import random_sensor
from neuralfusion_ros.training.sensor_noise import SensorNoise
from neuralfusion_ros.training.settings import LEAST_STREAM_FRAMES, DataSettings
from neuralfusion_ros.training.stage import path_around, random_stage
from neuralfusion_ros.training.thin_things import mappable
from neuralfusion_ros.training.tracking_error import random_tracking_error

_MAX_WEIGHTS = (3.0, 64.0)
_TILTED_SHARE = 0.5  # of the sequences


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


@dataclass(frozen=True)
class Tour:
    """A path through one scene, to be rendered. poses: (F, 4, 4) float64 T_world_camera."""

    scene: Scene
    camera: PinholeCamera
    poses: npt.NDArray[np.float64]

    def render(self, numbers: npt.NDArray[np.int64]) -> CleanSequence:
        """The frames with these numbers, in this order."""
        renderer = DepthRenderer(*self.scene.mesh())
        rendered = [renderer.render_with_cosine(self.camera, self.poses[number]) for number in numbers]
        depth, cosine = (np.stack(images) for images in zip(*rendered, strict=True))
        return CleanSequence(self.scene, self.camera, depth, cosine, self.poses[numbers])


def random_tour(seed: int, data: DataSettings) -> Tour:
    """A random room or stage seen along a random path by a camera of random size and field of view (54 to 75 degrees).

    Raises ValueError when the room has no free place for a camera.
    """
    rng = np.random.default_rng([seed, 1])
    on_stage = rng.random() < data.stage_share
    scene = random_stage(seed) if on_stage else random_room(seed)
    if rng.random() < _TILTED_SHARE:
        scene = tilted(scene, rng)
    width = data.image_widths[rng.integers(len(data.image_widths))]
    height = 3 * width // 4
    focal = float(rng.uniform(0.65, 0.98) * width)
    cx, cy = (width - 1) / 2 + rng.uniform(-5, 5), (height - 1) / 2 + rng.uniform(-5, 5)
    camera = PinholeCamera(width, height, focal, focal, float(cx), float(cy))
    return Tour(scene, camera, (path_around if on_stage else hand_path)(scene, rng, data.frames))


@dataclass(frozen=True)
class NoisyFrame:
    """What the mapper gets. depth_m: (H, W) float32. T_world_camera: (4, 4) float64, with tracking error."""

    depth_m: npt.NDArray[np.float32]
    T_world_camera: npt.NDArray[np.float64]


class NoisyStream:
    """One pass of one sensor along a tour: random start, stride, voxel size, sensor, errors of its calibration and of
    its tracking.

    sequence: its frames without noise, in its order. taken: how many of them have been taken so far. truth: what the
    map should show. max_weight: of the map that it feeds, in frames. Also small ones, so that within a short stream
    some maps are as old as they become on a robot that stands still: many times the weight at which they begin to
    forget.
    """

    def __init__(self, tour: Tour, rng: np.random.Generator) -> None:
        self._rng = rng
        self.voxel_size_m = float(np.exp(rng.uniform(np.log(0.02), np.log(0.04))))
        self.truth = mappable(tour.scene, self.voxel_size_m)
        self.max_weight = float(np.exp(rng.uniform(*np.log(_MAX_WEIGHTS))))
        self.sensor: SensorNoise = random_sensor(rng)
        self._distortion = random_distortion(rng, (tour.camera.height, tour.camera.width))
        self._tracking_error = random_tracking_error(rng)
        frames = np.arange(0, len(tour.poses), int(rng.integers(1, 4)))
        if rng.random() < 0.5:
            frames = frames[::-1]
        frames = np.roll(frames, int(rng.integers(len(frames))))
        self.sequence = tour.render(frames[: int(rng.integers(LEAST_STREAM_FRAMES, len(frames) + 1))])
        self.taken = 0
        self._ready: list[NoisyFrame] | None = None

    @property
    def exhausted(self) -> bool:
        """All frames have been taken."""
        return self.taken >= len(self.sequence.poses)

    def take(self, count: int) -> list[NoisyFrame]:
        """The next frames, at most `count`."""
        start, self.taken = self.taken, min(self.taken + count, len(self.sequence.poses))
        if self._ready is not None:
            return self._ready[start : self.taken]
        return [self._noisy(number) for number in range(start, self.taken)]

    def prepared(self) -> NoisyStream:
        """The same stream from its start, with all noise made and nothing kept that only the noise needed.

        It is small enough to be sent to another process.
        """
        clean = self.sequence
        result = copy.copy(self)
        result._rng, result._tracking_error = copy.deepcopy(self._rng), copy.copy(self._tracking_error)
        result._ready = [result._noisy(number) for number in range(len(clean.poses))]
        # Copies of the scenes leave out what they have worked out for themselves.
        result.truth = replace(self.truth, scene=replace(self.truth.scene))
        no_cosine = np.zeros((len(clean.poses), 0, 0), np.float32)
        result.sequence = replace(clean, scene=replace(clean.scene), cosine=no_cosine)
        result.taken, result._distortion = 0, None
        return result

    def visible(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) world points to (N,) bool: some frame taken so far looked at or through the point."""
        result = torch.zeros(len(points), dtype=torch.bool)
        camera = self.sequence.camera
        for number in range(self.taken):
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
        seen_m = clean.depth_m[number]
        if self._distortion is not None:
            seen_m = self._distortion.apply(seen_m)
        depth = self.sensor.apply(seen_m, clean.camera, self._rng, clean.cosine[number])
        return NoisyFrame(depth, self._tracking_error.apply(clean.poses[number], self._rng))
