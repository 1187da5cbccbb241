# SPDX-License-Identifier: Apache-2.0
"""The translated voxels as point clouds: only what changed, in messages of moderate size.

What a message says of a block replaces what was said before. A block that has no voxel near a surface any more is one
point with weight 0, at its first voxel. A message without points begins a new map.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.mapping.surface_map import SurfaceMap, SurfaceVoxels
from neuralfusion_ros.messages.point_cloud import point_cloud_bytes
from neuralfusion_ros.messages.tsdf_cloud import TSDF_POINT, tsdf_points

MAX_POINTS = 8_000_000 // TSDF_POINT.itemsize


class TsdfStream:
    """Remembers which blocks the receivers do not have yet. For one thread."""

    def __init__(self) -> None:
        self._unsent = torch.zeros(0, dtype=torch.int64)
        self._shown = self._unsent  # blocks of which receivers have points
        self._everything = self._begins = False
        self._shown_ns = 0

    @property
    def has_work(self) -> bool:
        """Something is to be sent."""
        return self._everything or self._begins or len(self._unsent) > 0

    def add(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks that were translated."""
        self._unsent = torch.cat((self._unsent, pack_keys(keys))).unique()

    def add_everything(self) -> None:
        """The whole map is to be sent."""
        self._everything = True

    def start_new_map(self) -> None:
        """Forgets what was to be sent."""
        self._begins = len(self._shown) > 0
        self._unsent = self._shown = self._unsent[:0]
        self._shown_ns = 0

    def take(self, surface: SurfaceMap, frame_id: str, stamp_ns: int) -> Iterator[bytes]:
        """The serialised PointCloud2s that bring the receivers up to date. All are to be sent.

        stamp_ns: of the newest image that they show. Only the last one has it; the others do not show all of it yet.
        """
        if self._begins:
            yield point_cloud_bytes(frame_id, self._shown_ns, np.empty(0, TSDF_POINT))
        keys = None if self._everything else unpack_keys(self._unsent).to(surface.grid.device)
        points = self._points(surface, surface.surface_voxels(keys))
        self._everything = self._begins = False
        self._unsent = self._unsent[:0]
        for first in range(0, len(points), MAX_POINTS):
            is_last = first + MAX_POINTS >= len(points)
            part = points[first : first + MAX_POINTS]
            yield point_cloud_bytes(frame_id, stamp_ns if is_last else self._shown_ns, part)
        self._shown_ns = stamp_ns

    def _points(self, surface: SurfaceMap, voxels: SurfaceVoxels) -> npt.NDArray[np.void]:
        """The voxels, and the blocks that receivers have and that none of them lies in."""
        blocks = np.floor(voxels.positions_m / surface.grid.block_size_m).astype(np.int64)
        now = pack_keys(torch.from_numpy(blocks)).unique()
        emptied = self._unsent[torch.isin(self._unsent, self._shown) & ~torch.isin(self._unsent, now)]
        kept = self._shown[~torch.isin(self._shown, emptied)]
        self._shown = torch.cat((kept, now)).unique()
        corners_m = unpack_keys(emptied).numpy() * surface.grid.block_size_m + surface.grid.voxel_size_m / 2
        nothing = np.zeros(len(emptied), np.float32)
        return np.concatenate(
            (
                tsdf_points(voxels.positions_m, voxels.tsdf_m, voxels.weight, voxels.occupancy),
                tsdf_points(corners_m, nothing + surface.truncation_m, nothing, nothing),
            )
        )
