# SPDX-License-Identifier: Apache-2.0
"""The learned map and Open3D's TSDF on the same frames, one frame after the other in turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch

from neuralfusion_ros.benchmark.stages import Stages
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.open3d_tsdf import Open3dTsdf
from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.fusion_steps import fusion_steps
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import n_channels

WARM_UP_FRAMES = 3
FRAME = "frame"  # the stage that holds all others


class Contestant(Protocol):
    """A way to fuse frames. name: for the tables. stages: its times."""

    name: str
    stages: Stages

    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        """Adds one frame and takes the time."""


class LearnedContestant:
    """The steps of the mapper, each timed. touched: (N, 3) blocks that the last frame changed. rays: of that frame."""

    def __init__(self, model: LatentModel, settings: MapSettings, device: torch.device, compiled: bool) -> None:
        self.name = f"{model.name}, {'compiled' if compiled else 'torch'}"
        self.stages = Stages(device)
        channels = n_channels(model.architecture.latent_channels)
        self.grid = BlockGrid(channels, settings.voxel_size_m, device, max_bytes=settings.max_bytes)
        self._steps = fusion_steps(compiled, self.grid, model.fusion, settings)
        self._device = device
        self.touched, self.rays = self.grid.keys, 0

    @torch.no_grad()
    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        steps, time = self._steps, self.stages.time
        with time(FRAME):
            pose = torch.as_tensor(frame.T_world_camera, dtype=torch.float32, device=self._device)
            depth_m = torch.as_tensor(np.ascontiguousarray(frame.depth_m), device=self._device)
            with time("rays"):
                rays = steps.make_rays(depth_m, camera)
            with time("allocate"):
                steps.allocate(rays, pose)
            with time("extract"):
                inputs = steps.extract(rays, pose)
            with time("fuse"):
                updates = steps.fuse(inputs)
            with time("integrate"):
                touched = steps.integrate(rays, updates, pose)
        self.touched, self.rays = self.grid.keys[touched.blocks], rays.depth_m.numel()


class Open3dContestant:
    """VoxelBlockGrid with blocks of 16x16x16 voxels and a truncation of 4 voxels: blocks found, then integrated."""

    def __init__(self, settings: MapSettings) -> None:
        self.name = "Open3D VoxelBlockGrid"
        self.stages = Stages(torch.device("cpu"))
        self.tsdf = Open3dTsdf(settings.voxel_size_m, 4, settings.max_depth_m)

    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        with self.stages.time(FRAME):
            self.tsdf.integrate(frame, camera)


def take_turns(contestants: list[Contestant], frames: Iterable[Frame], camera: PinholeCamera) -> None:
    """Every contestant gets every frame; the first few are forgotten, so that compiling does not count."""
    for number, frame in enumerate(frames):
        for contestant in contestants:
            contestant.integrate(frame, camera)
            if number < WARM_UP_FRAMES:
                contestant.stages.ms.clear()
