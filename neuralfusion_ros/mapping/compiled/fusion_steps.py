# SPDX-License-Identifier: Apache-2.0
"""The steps that take one frame into the map, compiled for a CPU."""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.buffers import Buffers
from neuralfusion_ros.mapping.compiled.extract import network_inputs
from neuralfusion_ros.mapping.compiled.fuse import CompiledFusion
from neuralfusion_ros.mapping.compiled.integrate import integrate_frame
from neuralfusion_ros.mapping.compiled.ray_image import make_rays
from neuralfusion_ros.mapping.compiled.world_rays import WorldRays, band_blocks, world_rays
from neuralfusion_ros.mapping.fuse import FusionNetwork, RayUpdates
from neuralfusion_ros.mapping.fusion_steps import FusionSteps
from neuralfusion_ros.mapping.integrate import Touched
from neuralfusion_ros.mapping.ray_image import RayImage
from neuralfusion_ros.mapping.settings import MapSettings


class CompiledSteps(FusionSteps):
    """The same results as FusionSteps up to rounding, for a map in half precision. Without gradients.

    What `extract` and `fuse` return is valid until the next frame.
    """

    def __init__(self, grid: BlockGrid, network: FusionNetwork, settings: MapSettings) -> None:
        super().__init__(grid, network, settings)
        self._fusion, self._buffers = CompiledFusion(network), Buffers()
        self._newest: tuple[RayImage, torch.Tensor, WorldRays] | None = None

    def make_rays(self, depth_m: torch.Tensor, camera: PinholeCamera) -> RayImage:
        return make_rays(depth_m, camera, self.settings)

    def extract(self, rays: RayImage, T_world_camera: torch.Tensor) -> torch.Tensor:
        return network_inputs(self.grid, rays, self._world_rays(rays, T_world_camera), self._buffers)

    def fuse(self, inputs: torch.Tensor) -> RayUpdates:
        return self._fusion(inputs)

    def integrate(self, rays: RayImage, updates: RayUpdates, T_world_camera: torch.Tensor) -> Touched:
        return integrate_frame(self.grid, rays, updates, T_world_camera, self.settings.max_weight)

    def _band_blocks(self, rays: RayImage, T_world_camera: torch.Tensor) -> torch.Tensor:
        return band_blocks(self.grid, self._world_rays(rays, T_world_camera))

    def _world_rays(self, rays: RayImage, T_world_camera: torch.Tensor) -> WorldRays:
        """The rays where the map is, worked out once for a frame."""
        if self._newest is None or self._newest[0] is not rays or self._newest[1] is not T_world_camera:
            world = world_rays(rays, T_world_camera, self.grid.voxel_size_m)
            self._newest = rays, T_world_camera, world
        return self._newest[2]
