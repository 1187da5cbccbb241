# SPDX-License-Identifier: Apache-2.0
"""The translated voxels as point clouds: only what changed, in messages of moderate size."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.messages.tsdf_cloud import TSDF_POINT, tsdf_cloud_bytes

MAX_POINTS = 8_000_000 // TSDF_POINT.itemsize


class TsdfStream:
    """Remembers which blocks the receivers do not have yet. For one thread."""

    def __init__(self) -> None:
        self._unsent = torch.zeros(0, dtype=torch.int64)
        self._everything = False
        self._shown_ns = 0

    @property
    def has_work(self) -> bool:
        """Something is to be sent."""
        return self._everything or len(self._unsent) > 0

    def add(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks that were translated."""
        self._unsent = torch.cat((self._unsent, pack_keys(keys))).unique()

    def add_everything(self) -> None:
        """The whole map is to be sent."""
        self._everything = True

    def start_new_map(self) -> None:
        """Forgets what was to be sent."""
        self._unsent = self._unsent[:0]
        self._shown_ns = 0

    def take(self, surface: SurfaceMap, frame_id: str, stamp_ns: int) -> Iterator[bytes]:
        """The serialised PointCloud2s that bring the receivers up to date. All are to be sent.

        stamp_ns: of the newest image that they show. Only the last one has it; the others do not show all of it yet.
        """
        keys = None if self._everything else unpack_keys(self._unsent).to(surface.grid.device)
        voxels = surface.surface_voxels(keys)
        self._everything, self._unsent = False, self._unsent[:0]
        for first in range(0, len(voxels.tsdf_m), MAX_POINTS):
            part = slice(first, first + MAX_POINTS)
            is_last = first + MAX_POINTS >= len(voxels.tsdf_m)
            values = (voxels.positions_m[part], voxels.tsdf_m[part], voxels.weight[part], voxels.occupancy[part])
            yield tsdf_cloud_bytes(frame_id, stamp_ns if is_last else self._shown_ns, *values)
        self._shown_ns = stamp_ns
