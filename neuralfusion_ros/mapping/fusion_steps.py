# SPDX-License-Identifier: Apache-2.0
"""The steps that take one frame into the map, in plain torch: the reference, and what a GPU runs."""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled import check_can_compile
from neuralfusion_ros.mapping.eviction import are_within
from neuralfusion_ros.mapping.extract import extract
from neuralfusion_ros.mapping.fuse import FusionNetwork, RayUpdates, network_inputs
from neuralfusion_ros.mapping.integrate import Touched, band_blocks, integrate, look_up_updates, visible_blocks
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings


class FusionSteps:
    """A frame goes through the methods in the order in which they stand here. T_world_camera: (4, 4) float32."""

    def __init__(self, grid: BlockGrid, network: FusionNetwork, settings: MapSettings) -> None:
        self.grid, self.network, self.settings = grid, network, settings

    def make_rays(self, depth_m: torch.Tensor, camera: PinholeCamera) -> RayImage:
        """(H, W) depth in metres to rays about one voxel apart."""
        return make_rays(depth_m, camera, self.settings)

    def allocate(self, rays: RayImage, T_world_camera: torch.Tensor) -> int:
        """Makes room around the measured surface, as far as it lies within the bounds of the map.

        Returns how many blocks the map had no room for.
        """
        blocks = self._band_blocks(rays, T_world_camera)
        return self.grid.allocate(blocks[are_within(blocks, self.settings.bounds_m, self.grid.block_size_m)])

    def extract(self, rays: RayImage, T_world_camera: torch.Tensor) -> torch.Tensor:
        """(h, w, F) inputs of the fusion network: the rays and what the map already knows along them."""
        return network_inputs(rays, extract(self.grid, rays, T_world_camera))

    def fuse(self, inputs: torch.Tensor) -> RayUpdates:
        """What the network makes of the inputs."""
        return self.network(inputs)

    def integrate(self, rays: RayImage, updates: RayUpdates, T_world_camera: torch.Tensor) -> Touched:
        """Gives every voxel that the frame sees its update or its vote of free space."""
        seen = visible_blocks(self.grid, rays, T_world_camera)
        found = look_up_updates(self.grid, seen, rays, updates, T_world_camera)
        integrate(self.grid, found, self.settings.max_weight)
        return found.touched(self.grid.n_blocks)

    def _band_blocks(self, rays: RayImage, T_world_camera: torch.Tensor) -> torch.Tensor:
        """(N, 3) blocks around the measured surface, some repeated; those that the map has may be left out."""
        return band_blocks(rays, T_world_camera, self.grid.voxel_size_m)


def fusion_steps(compiled: bool, grid: BlockGrid, network: FusionNetwork, settings: MapSettings) -> FusionSteps:
    """The steps, compiled or not. Raises ValueError when they cannot be compiled."""
    if not compiled:
        return FusionSteps(grid, network, settings)
    check_can_compile(grid.device)
    from neuralfusion_ros.mapping.compiled.fusion_steps import CompiledSteps  # importing numba takes a while

    return CompiledSteps(grid, network, settings)
