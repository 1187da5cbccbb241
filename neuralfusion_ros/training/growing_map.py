# SPDX-License-Identifier: Apache-2.0
"""A map that grows in training as it does on a robot, and keeps the gradient of its last frames."""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.compiled import can_compile
from neuralfusion_ros.mapping.fusion_steps import fusion_steps
from neuralfusion_ros.mapping.integrate import VoxelUpdates, integrate, look_up_updates, visible_blocks
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import n_channels
from neuralfusion_ros.training.additive import DifferentiableMap
from neuralfusion_ros.training.sequences import NoisyFrame, NoisyStream


class GrowingMap:
    """A latent map fed by one stream, on the device of the model."""

    def __init__(self, stream: NoisyStream, model: LatentModel) -> None:
        self.stream, self.model = stream, model
        settings = MapSettings(voxel_size_m=stream.voxel_size_m, max_bytes=4 << 30)
        channels = n_channels(model.architecture.latent_channels)
        self._device = next(model.parameters()).device
        self.grid = BlockGrid(channels, stream.voxel_size_m, self._device, max_bytes=settings.max_bytes)
        self._steps = fusion_steps(can_compile(self.grid.device), self.grid, model.fusion, settings)

    def integrate(self, frames: list[NoisyFrame]) -> DifferentiableMap:
        """Adds the frames to the map. The result carries the gradient to the networks."""
        camera = self.stream.sequence.camera
        all_updates = []
        for frame in frames:
            pose = torch.from_numpy(frame.T_world_camera).float().to(self._device)
            rays = self._steps.make_rays(torch.from_numpy(frame.depth_m).to(self._device), camera)
            self._steps.allocate(rays, pose)
            ray_updates = self.model.fusion(self._steps.extract(rays, pose))
            updates = look_up_updates(self.grid, visible_blocks(self.grid, rays, pose), rays, ray_updates, pose)
            all_updates.append(updates)
            integrate(self.grid, _detached(updates), self.stream.max_weight)
        return DifferentiableMap(self.grid.values.reshape(-1, self.grid.channels), all_updates)


def _detached(updates: VoxelUpdates) -> VoxelUpdates:
    return VoxelUpdates(*(getattr(updates, name).detach() for name in VoxelUpdates.__dataclass_fields__))
