# SPDX-License-Identifier: Apache-2.0
"""The mapper: depth images and poses in, a latent map out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid, check_reach
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled import can_compile
from neuralfusion_ros.mapping.eviction import SPARE_SHARE, are_within, blocks_beyond, longest_unseen
from neuralfusion_ros.mapping.fusion_steps import fusion_steps
from neuralfusion_ros.mapping.integrate import visible_blocks
from neuralfusion_ros.mapping.map_file import StoredMap, read_map, write_map
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.poses import is_rigid
from neuralfusion_ros.mapping.query import QueryResult, query
from neuralfusion_ros.mapping.ray_image import RayImage
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.voxel_state import n_channels

MAX_IMAGE_EDGE = 4096


@dataclass(frozen=True)
class FrameResult:
    """rays: measurements used. voxels: updated in the band. blocks_refused: new blocks the full map had no room for.

    blocks_dropped: blocks that left the map, for their distance or to make room.
    """

    rays: int
    voxels: int
    blocks_refused: int
    blocks_dropped: int = 0


class Mapper:
    """Builds the latent map frame by frame.

    grid: the latent map. Frames are integrated one after the other; the class is not safe to call from two threads.
    compiled: whether the steps are kernels compiled for the CPU or plain torch; by default where that is possible.
    Raises ValueError when it is asked for and not possible.
    """

    def __init__(
        self,
        model: LatentModel,
        settings: MapSettings,
        device: torch.device | str = "cpu",
        compiled: bool | None = None,
    ) -> None:
        self.model = model.to(device)
        self.settings = settings
        self.device = torch.device(device)
        channels = n_channels(model.architecture.latent_channels)
        self.grid = BlockGrid(channels, settings.voxel_size_m, device, torch.float16, settings.max_bytes)
        self.compiled = can_compile(self.device) if compiled is None else compiled
        self._steps = fusion_steps(self.compiled, self.grid, model.fusion, settings)
        self._frame = self._taken = 0  # blocks carry the number of the frame that last changed them
        self._removed = torch.zeros((0, 3), dtype=torch.int32, device=self.device)
        self._surface = SurfaceMap(self.grid, self.model.translator, compiled=self.compiled)

    def warm_up(self) -> None:
        """Compiles the kernels, or reads them from their cache, so that the first frame does not have to wait."""
        camera = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
        middle_m = (self.settings.min_depth_m + self.settings.max_depth_m) / 2
        wall_m = np.full((camera.height, camera.width), middle_m, np.float32)
        Mapper(self.model, self.settings, self.device, self.compiled).integrate(wall_m, np.eye(4), camera)

    @torch.no_grad()
    def integrate(
        self, depth_m: npt.NDArray[np.floating[Any]], T_world_camera: npt.NDArray[np.float64], camera: PinholeCamera
    ) -> FrameResult:
        """Takes one (H, W) depth image in metres, 0 where nothing was measured, and its (4, 4) pose.

        depth_m: floating-point, metres along the camera's z axis. T_world_camera: maps points of the camera's optical
        frame into the world, in metres. Raises ValueError when the image does not have the camera's size, is larger
        than 4096x4096 or holds whole numbers, or when the pose is not a rotation and a translation or (OutOfReach) is
        more than 2^22 voxels away from the origin; the map then stays as it was.
        """
        pose, depth = self._check(depth_m, T_world_camera, camera)
        self._frame += 1
        rays = self._steps.make_rays(depth, camera)
        n_removed = len(self._removed)
        refused = self._make_room(rays, pose)
        inputs = self._steps.extract(rays, pose)
        updates = self._steps.fuse(inputs)
        touched = self._steps.integrate(rays, updates, pose)
        self.grid.stamps[touched.blocks] = self._frame
        return FrameResult(int(rays.valid.sum()), touched.voxels, refused, len(self._removed) - n_removed)

    def change(self, settings: MapSettings) -> None:
        """Goes on with other settings; what lies outside new bounds leaves the map.

        Raises ValueError when voxel size or memory differ, for which another mapper is needed.
        """
        if settings != replace(settings, voxel_size_m=self.settings.voxel_size_m, max_bytes=self.settings.max_bytes):
            raise ValueError("the voxel size and the memory of a map cannot be changed")
        self.settings = self._steps.settings = settings
        self._apply_bounds()

    def mesh(self) -> Mesh:
        """The surface of the whole map, in metres in the world; translates what changed since the last call.

        A map without a surface gives a mesh without triangles.
        """
        self._surface.remove(self.take_removed())
        self._surface.mark_changed(self.take_changed())
        return self._surface.mesh()

    def query(self, points: npt.NDArray[np.float64]) -> QueryResult:
        """Signed distance in metres, occupancy, and free, occupied or unknown at (N, 3) world points in metres.

        Raises ValueError when the points have another shape. A point that is not finite is unknown.
        """
        return query(self.grid, self.model.translator, points)

    def take_changed(self) -> torch.Tensor:
        """(N, 3) int32 coordinates of the blocks that are new or changed since the last call.

        `mesh` takes them too: use either that or, to translate elsewhere, this and take_removed.
        """
        changed = self.grid.keys[self.grid.stamps > self._taken]
        self._taken = self._frame
        return changed

    def take_removed(self) -> torch.Tensor:
        """(N, 3) int32 coordinates of the blocks that left the map since the last call and are not back."""
        removed, self._removed = self._removed, self._removed[:0]
        return removed[self.grid.find(removed) < 0]

    def reset(self) -> None:
        """Forgets the map."""
        self.grid.clear()
        self._frame = self._taken = 0
        self._removed = self._removed[:0]
        self._surface.clear()

    def save(self, path: Path | str, frame_id: str = "odom") -> None:
        """Writes the map to a file, by custom NAME.nfmap, aside and then renamed. Raises OSError.

        frame_id: name of the frame that the poses are given in, for whoever reads the file.
        """
        write_map(Path(path), self.stored(frame_id))

    def load(self, path: Path | str, frame_id: str = "") -> None:
        """Replaces the map by that of a file; `integrate` goes on from there.

        frame_id: the frame that the map must be in; empty for any. Raises MapFileError when the file is missing,
        damaged or not a map, and ValueError when it was made with another model, voxel size or frame or is too large;
        the map then stays as it was. What lies outside the bounds is left out.
        """
        stored = read_map(Path(path))
        if frame_id and stored.frame_id != frame_id:
            raise ValueError(f"the map is in frame '{stored.frame_id}', not '{frame_id}'")
        self.restore(stored)

    def stored(self, frame_id: str) -> StoredMap:
        """A copy of the map, as `save` writes it."""
        grid = self.grid
        return StoredMap(grid.keys.clone(), grid.values.clone(), grid.voxel_size_m, self.model.sha256, frame_id)

    def restore(self, stored: StoredMap) -> None:
        """Replaces the map. Raises ValueError, before anything is changed, when it does not fit this mapper."""
        if stored.model_sha256 != self.model.sha256:
            raise ValueError(
                f"the map was made with model {stored.model_sha256[:8]}..., not {self.model.sha256[:8]}..."
            )
        if stored.voxel_size_m != self.grid.voxel_size_m:
            raise ValueError(f"the map has voxels of {stored.voxel_size_m} m, not {self.grid.voxel_size_m} m")
        if stored.values.shape[2:] != (self.grid.channels,):
            raise ValueError(f"the map has voxels of {stored.values.shape[2]} numbers, not {self.grid.channels}")
        if len(stored.keys) > self.grid.max_blocks:
            raise ValueError(f"the map has {len(stored.keys)} blocks, there is memory for {self.grid.max_blocks}")
        self.reset()
        self._frame = 1
        self.grid.set_blocks(stored.keys.to(self.device), stored.values.to(self.device))
        self.grid.stamps[:] = self._frame
        self._apply_bounds()

    def _apply_bounds(self) -> None:
        inside = are_within(self.grid.keys, self.settings.bounds_m, self.grid.block_size_m)
        self._remove((~inside).nonzero().squeeze(-1))

    def _make_room(self, rays: RayImage, pose: torch.Tensor) -> int:
        """Drops what is far away, then allocates what the frame needs; returns how many blocks were refused."""
        if self.settings.radius_m > 0:
            beyond = blocks_beyond(self.grid, pose[:3, 3], self.settings.radius_m)
            if len(beyond) >= SPARE_SHARE * self.grid.n_blocks:  # removing costs time for all blocks: many at once
                self._remove(beyond)
        refused = self._allocate(rays, pose)
        if refused and self.settings.evict:
            self._remove(longest_unseen(self.grid, visible_blocks(self.grid, rays, pose), refused))
            refused = self._allocate(rays, pose)
        return refused

    def _allocate(self, rays: RayImage, pose: torch.Tensor) -> int:
        first_new = self.grid.n_blocks
        refused = self._steps.allocate(rays, pose)
        self.grid.stamps[first_new:] = self._frame
        return refused

    def _remove(self, rows: torch.Tensor) -> None:
        if len(rows):
            self._removed = torch.cat((self._removed, self.grid.keys[rows]))
            self.grid.remove(rows)

    def _check(
        self, depth_m: npt.NDArray[np.floating[Any]], T_world_camera: npt.NDArray[np.float64], camera: PinholeCamera
    ) -> tuple[torch.Tensor, torch.Tensor]:
        depth, T = np.asarray(depth_m), np.asarray(T_world_camera, np.float64)
        if depth.shape != (camera.height, camera.width):
            raise ValueError(f"depth image is {depth.shape[::-1]}, the camera {(camera.width, camera.height)}")
        if max(depth.shape) > MAX_IMAGE_EDGE:
            raise ValueError(f"depth image is {depth.shape[::-1]}, the largest is {MAX_IMAGE_EDGE}x{MAX_IMAGE_EDGE}")
        if not np.issubdtype(depth.dtype, np.floating):
            raise ValueError(f"depth must be floating-point metres, not {depth.dtype}: divide it by its scale")
        if T.shape != (4, 4) or not np.isfinite(T).all():
            raise ValueError("the pose must be a finite 4x4 matrix")
        if not is_rigid(T):
            raise ValueError("the pose must be a rotation and a translation, with 0 0 0 1 in its last row")
        check_reach(T, self.settings.voxel_size_m)
        pose = torch.as_tensor(T, dtype=torch.float32, device=self.device)
        return pose, torch.as_tensor(np.ascontiguousarray(depth, np.float32), device=self.device)
