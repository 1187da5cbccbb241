# SPDX-License-Identifier: Apache-2.0
"""The translated map: TSDF, occupancy and mesh, brought up to date only where the latent map changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.chunks import CHUNK_BLOCKS, OCCUPANCY, SEEN, TSDF, Chunk, chunk_volumes, chunks_around
from neuralfusion_ros.mapping.compiled import can_compile
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.mapping.meshing import Mesh, mesh_cells, weld
from neuralfusion_ros.mapping.pending_blocks import PendingBlocks
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.translation import translation
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, N_EVIDENCE, WEIGHT

# A voxel seen only from further behind a surface says nothing about it; no one has looked at the back of a wall.
# Cells that hold a surface reach up to 1.7 voxels, 0.43 truncations, behind it.
_LEAST_MEAN = -0.44


@dataclass(frozen=True)
class SurfaceVoxels:
    """Observed voxels near surfaces. positions_m: (N, 3). tsdf_m, weight, occupancy: (N,) float32."""

    positions_m: npt.NDArray[np.float32]
    tsdf_m: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    occupancy: npt.NDArray[np.float32]


class SurfaceMap:
    """Follows a latent map. Call `mark_changed` with changed blocks, then `translate`, then ask.

    subdivision: voxels of the surface per voxel of the latent map and axis; 2 gives a mesh of half the voxel size.
    compiled: whether translation and meshing are compiled for the CPU; by default where that is possible.
    """

    def __init__(
        self, latent: BlockGrid, translator: TranslatorNetwork, subdivision: int = 1, compiled: bool | None = None
    ) -> None:
        self.latent, self._subdivision = latent, subdivision
        self._compiled = can_compile(latent.device) if compiled is None else compiled
        self._translation = translation(self._compiled, translator, latent, subdivision)
        max_bytes = latent.max_blocks * 4096 * subdivision**3
        self.grid = BlockGrid(4, latent.voxel_size_m / subdivision, latent.device, torch.float16, max_bytes)
        self._pending = PendingBlocks(latent)
        self._meshes: dict[Chunk, Mesh] = {}
        self._changed_chunks: set[Chunk] = set()

    @property
    def truncation_m(self) -> float:
        """Largest signed distance that the map knows, in metres."""
        return TRUNCATION_VOXELS * self.latent.voxel_size_m

    @property
    def pending(self) -> int:
        """Blocks that still wait for translation."""
        return len(self._pending)

    def clear(self) -> None:
        """Forgets everything translated; every existing chunk counts as changed."""
        self.grid.clear()
        self._pending.clear()
        self._changed_chunks.update(self._meshes)

    def mark_changed(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks of the latent map that changed. What their neighbours see of them is translated again, too."""
        self._pending.mark(keys)

    def remove(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks that left the latent map: their surface goes, and their neighbours are translated again."""
        if len(keys) == 0:
            return
        fine_keys = _parts(keys, self._subdivision).reshape(-1, 3)
        rows = self.grid.find(fine_keys)
        self.grid.remove(rows[rows >= 0])
        self._changed_chunks |= chunks_around(fine_keys)
        self._pending.drop(keys)
        self.mark_changed(keys)

    def translate(self, max_blocks: int | None = None) -> int:
        """Translates waiting blocks, at most `max_blocks`. Returns how many."""
        keys, wanted = self._pending.take(max_blocks)
        fine_keys = _parts(keys, self._subdivision)
        rows = self.grid.find(fine_keys)
        # For all blocks at once, because every search has a price of its own.
        if bool((rows < 0).any()):
            wanted |= (rows < 0).any(dim=1, keepdim=True)
            self.grid.allocate(fine_keys.reshape(-1, 3))
            rows = self.grid.find(fine_keys)
        self._changed_chunks |= chunks_around(fine_keys.reshape(-1, 3))
        latent_rows, done = self.latent.find(keys), 0
        for some, tsdf, occupancy in self._translation(keys, wanted):
            first, done = done, done + len(some)
            values = _values(self.latent.values[latent_rows[first:done], :, :N_EVIDENCE].float(), tsdf, occupancy)
            where = wanted[first:done, :, None, None].expand(-1, -1, tsdf.shape[-1], 1)
            self._write(rows[first:done].reshape(-1), *(_subdivided(v, self._subdivision) for v in (values, where)))
        return len(keys)

    def _write(self, rows: torch.Tensor, values: torch.Tensor, where: torch.Tensor) -> None:
        """To the blocks in these (N,) rows of `grid`; -1 had no room. (N, 512, 4) values, (N, 512, 1) bool which."""
        rows, values, where = rows[rows >= 0], values[rows >= 0], where[rows >= 0]
        before = self.grid.values.index_select(0, rows)
        self.grid.values.index_copy_(0, rows, torch.where(where, values.to(before.dtype), before))

    def mesh_changed_chunks(self, settled_only: bool = False) -> dict[Chunk, Mesh]:
        """Meshes of the chunks that changed since the last call; one without triangles is to be deleted.

        settled_only: leaves those for later that the translation of waiting blocks will change once more.
        """
        unsettled = chunks_around(self._pending.keys) if settled_only else set()
        chunks = sorted(self._changed_chunks - unsettled)
        changed = {}
        volumes = chunk_volumes(self.grid, chunks, self._compiled)
        for chunk, (tsdf, cells) in zip(chunks, volumes, strict=True):
            first_voxel = np.array(chunk, dtype=np.int64) * CHUNK_BLOCKS * BLOCK_SIZE
            mesh = mesh_cells(tsdf, cells, first_voxel, self.grid.voxel_size_m)
            if len(mesh.triangles):
                changed[chunk] = self._meshes[chunk] = mesh
            elif self._meshes.pop(chunk, None) is not None:
                changed[chunk] = mesh
        self._changed_chunks &= unsettled
        return changed

    def chunk_meshes(self) -> dict[Chunk, Mesh]:
        """The latest mesh of every chunk that has one."""
        return dict(self._meshes)

    def mesh(self) -> Mesh:
        """The whole map as one welded mesh. Translates and meshes what is waiting."""
        self.translate()
        self.mesh_changed_chunks()
        return weld(list(self._meshes.values()), self.latent.voxel_size_m)

    def surface_voxels(self, keys: torch.Tensor | None = None) -> SurfaceVoxels:
        """Observed voxels closer than one truncation distance to a surface; of the (N, 3) blocks, or of all."""
        keys = self.grid.keys if keys is None else keys
        rows = self.grid.find(keys)
        keys, rows = keys[rows >= 0], rows[rows >= 0]
        values = self.grid.values[rows].reshape(-1, self.grid.channels).float()
        near = ((values[:, SEEN] > 0) & (values[:, TSDF].abs() < 0.98)).nonzero().squeeze(-1)
        block, voxel = torch.div(near, BLOCK_VOXELS, rounding_mode="floor"), near % BLOCK_VOXELS
        voxels = keys[block].to(torch.int64) * BLOCK_SIZE + voxel_offsets(self.grid.device)[voxel]
        positions = (voxels + 0.5) * self.grid.voxel_size_m
        columns = values[near].T.cpu().numpy()
        return SurfaceVoxels(
            positions.cpu().numpy(), columns[TSDF] * self.truncation_m, columns[SEEN], columns[OCCUPANCY]
        )

    def voxel_states(self, rows: torch.Tensor) -> torch.Tensor:
        """(N,) rows of blocks in `grid` to the (N, 512) uint8 UNKNOWN, FREE_SPACE or OCCUPIED of their voxels."""
        values = self.grid.values[rows]
        known, behind = values[..., SEEN] > 0, values[..., TSDF] <= 0
        states = torch.full(known.shape, UNKNOWN, dtype=torch.uint8, device=known.device)
        return states.masked_fill_(known, FREE_SPACE).masked_fill_(known & behind, OCCUPIED)


def _values(state: torch.Tensor, tsdf: torch.Tensor, occupancy: torch.Tensor) -> torch.Tensor:
    """(B, 512, 4) evidence, and (B, 512, K) of the points in every voxel, to their (B, 512, K, 4) values."""
    weight, free = state[..., WEIGHT, None], state[..., FREE, None]
    usable = (free > 0) | ((weight > 0) & (state[..., MEAN, None] > _LEAST_MEAN))
    return torch.stack((tsdf, occupancy, (weight + free).expand_as(tsdf), usable.expand_as(tsdf)), dim=-1)


def _subdivided(values: torch.Tensor, n: int) -> torch.Tensor:
    """(B, 512, n^3, C) values at n^3 points of every voxel to the (B * n^3, 512, C) of blocks n times as fine."""
    if n == 1:
        return values[:, :, 0]
    s, channels = BLOCK_SIZE, values.shape[-1]
    fine = values.reshape(-1, s, s, s, n, n, n, channels).permute(0, 1, 4, 2, 5, 3, 6, 7)
    fine = fine.reshape(-1, n, s, n, s, n, s, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return fine.reshape(-1, BLOCK_VOXELS, channels)


def _parts(keys: torch.Tensor, n: int) -> torch.Tensor:
    """(B, 3) blocks to the (B, n^3, 3) blocks of a grid n times as fine that cover them."""
    axis = torch.arange(n, device=keys.device)
    return keys[:, None] * n + torch.cartesian_prod(axis, axis, axis).reshape(-1, 3)
