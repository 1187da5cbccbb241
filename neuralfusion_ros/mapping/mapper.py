# SPDX-License-Identifier: Apache-2.0
"""The mapper: depth images and poses in, a latent map out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.extract import extract
from neuralfusion_ros.mapping.integrate import band_blocks, integrate, look_up_updates, visible_blocks
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.ray_image import make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.surface_map import QueryResult, SurfaceMap
from neuralfusion_ros.mapping.voxel_state import n_channels


@dataclass(frozen=True)
class FrameResult:
    """rays: measurements used. voxels: updated in the band. blocks_refused: new blocks the full map had no room for."""

    rays: int
    voxels: int
    blocks_refused: int


class Mapper:
    """Builds the latent map frame by frame.

    grid: the latent map. Frames are integrated one after the other; the class is not safe to call from two threads.
    """

    def __init__(self, model: LatentModel, settings: MapSettings, device: torch.device | str = "cpu") -> None:
        self.model = model.to(device)
        self.settings = settings
        self.device = torch.device(device)
        channels = n_channels(model.architecture.latent_channels)
        self.grid = BlockGrid(channels, settings.voxel_size_m, device, torch.float16, settings.max_bytes)
        self._changed = torch.zeros(0, dtype=torch.bool, device=self.device)
        self._surface = SurfaceMap(self.grid, self.model.translator)

    @torch.no_grad()
    def integrate(
        self, depth_m: npt.NDArray[np.float32], T_world_camera: npt.NDArray[np.float64], camera: PinholeCamera
    ) -> FrameResult:
        """Takes one (H, W) depth image in metres, 0 where nothing was measured, and its (4, 4) pose.

        Raises ValueError when the image does not have the camera's size or the pose is not finite; the map then
        stays as it was.
        """
        pose, depth = self._check(depth_m, T_world_camera, camera)
        rays = make_rays(depth, camera, self.settings)
        refused = self.grid.allocate(band_blocks(rays, pose, self.grid.voxel_size_m))
        samples = extract(self.grid, rays, pose)
        ray_updates = self.model.fusion(rays, samples)
        updates = look_up_updates(self.grid, visible_blocks(self.grid, rays, pose), rays, ray_updates, pose)
        integrate(self.grid, updates, self.settings.max_weight)
        self._mark_changed(updates.rows, updates.free_rows)
        return FrameResult(int(rays.valid.sum()), len(updates.rows), refused)

    def mesh(self) -> Mesh:
        """The surface of the whole map; translates what changed since the last call of `mesh` or `query`."""
        return self._up_to_date_surface().mesh()

    def query(self, points: npt.NDArray[np.float64]) -> QueryResult:
        """Signed distance, occupancy, and free, occupied or unknown at (N, 3) world points."""
        return self._up_to_date_surface().query(points)

    def take_changed(self) -> torch.Tensor:
        """(N, 3) int32 coordinates of the blocks that changed since the last call.

        `mesh` and `query` take them too: use either these two or, to translate elsewhere, this one.
        """
        changed = self.grid.keys[: len(self._changed)][self._changed]
        self._changed.zero_()
        return changed

    def reset(self) -> None:
        """Forgets the map."""
        self.grid.clear()
        self._changed = self._changed[:0]
        self._surface.clear()

    def _up_to_date_surface(self) -> SurfaceMap:
        self._surface.mark_changed(self.take_changed())
        return self._surface

    def _mark_changed(self, *voxel_rows: torch.Tensor) -> None:
        grown = torch.zeros(self.grid.n_blocks, dtype=torch.bool, device=self.device)
        grown[: len(self._changed)] = self._changed
        for rows in voxel_rows:
            grown[torch.div(rows, BLOCK_VOXELS, rounding_mode="floor")] = True
        self._changed = grown

    def _check(
        self, depth_m: npt.NDArray[np.float32], T_world_camera: npt.NDArray[np.float64], camera: PinholeCamera
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if depth_m.shape != (camera.height, camera.width):
            raise ValueError(f"depth image is {depth_m.shape[::-1]}, the camera {(camera.width, camera.height)}")
        if np.shape(T_world_camera) != (4, 4) or not np.isfinite(T_world_camera).all():
            raise ValueError("the pose must be a finite 4x4 matrix")
        pose = torch.as_tensor(np.asarray(T_world_camera), dtype=torch.float32, device=self.device)
        return pose, torch.as_tensor(np.ascontiguousarray(depth_m, np.float32), device=self.device)
