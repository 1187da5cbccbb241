# SPDX-License-Identifier: Apache-2.0
"""The translator's own copy of the latent map, kept up to date from the stream of blocks."""

from __future__ import annotations

import time

import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.voxel_state import n_channels
from neuralfusion_ros.messages.block_stream import BlockStreamReceiver
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.latent_blocks import BlockMessage
from neuralfusion_ros.nodes.block_sender import model_hash

# An update of a thousand blocks is on its way for about half as long.
_REST_LIMIT_S = 0.1


class LatentCopy:
    """A latent map and what was translated from it. For one thread.

    surface: None before the first message. frame_id: of the newest message. newest_ns: stamp of the newest image that
    has come completely, 0 before there is one. blocks_refused: for want of
    memory. wrong_model: the last message was made with another model. starts: how often a new map has begun;
    refills: how often the map at hand began to come once more.
    """

    def __init__(self, model: LatentModel, device: torch.device, max_bytes: int) -> None:
        self._model, self._device, self._max_bytes = model, device, max_bytes
        self._hash = model_hash(model.sha256)
        self._channels = n_channels(model.architecture.latent_channels)
        self._receiver = BlockStreamReceiver()
        self._changed = torch.zeros(0, dtype=torch.int64)
        self.surface: SurfaceMap | None = None
        self._map_of_surface: int | None = None
        self.frame_id, self.newest_ns, self.sequence = "", 0, -1
        self.starts = self.refills = self.blocks_refused = self._announced_blocks = 0
        self.wrong_model = False
        self._part_since_s: float | None = None

    @property
    def map_id(self) -> int | None:
        """Of the map that is followed."""
        return self._receiver.map_id

    @property
    def complete(self) -> bool:
        """Nothing was missed, or a full resend has begun."""
        return self._receiver.complete

    @property
    def n_blocks(self) -> int:
        """Blocks in the copy."""
        return self.surface.latent.n_blocks if self.surface else 0

    @property
    def n_bytes(self) -> int:
        """Memory of the copy, in bytes."""
        return self.surface.latent.nbytes if self.surface else 0

    @property
    def filled(self) -> bool:
        """The copy has as many blocks as the sender's map, as far as they fit."""
        return self.n_blocks + self.blocks_refused >= self._announced_blocks

    @property
    def n_changed(self) -> int:
        """Blocks that changed since `take_changed`."""
        return len(self._changed)

    def rest_s(self) -> float:
        """Seconds for which it is worth while to wait for the rest of an update; 0 when none is missing."""
        if self._part_since_s is None:
            return 0.0
        return max(0.0, self._part_since_s + _REST_LIMIT_S - time.monotonic())

    def take_changed(self) -> torch.Tensor:
        """(N, 3) blocks that changed since the last call."""
        changed, self._changed = self._changed, self._changed[:0]
        self._part_since_s = None
        return unpack_keys(changed)

    def sender_came(self) -> None:
        """A sender of blocks is heard from now on; the copy stays as it is until it sends its map."""
        self._receiver.sender_came()

    def apply(self, message: BlockMessage) -> None:
        """Takes in a message. Raises BadMessage: 'model' or 'latent_blocks' when it does not fit."""
        self._check(message)
        step = self._receiver.follow(message.map_id, message.sequence, message.first_of_full)
        if not step.apply:
            return
        if step.clear:
            self._clear(message)
        assert self.surface is not None
        self._write(self.surface, message)
        self._note_part(message)
        self.frame_id, self.newest_ns, self.sequence = message.frame_id, message.stamp_ns, message.sequence
        self._announced_blocks = message.n_blocks_total

    def _note_part(self, message: BlockMessage) -> None:
        """The last message of an update has another stamp than the one before."""
        if message.stamp_ns != self.newest_ns:
            self._part_since_s = None
        elif len(message.keys) or len(message.removed):
            self._part_since_s = self._part_since_s or time.monotonic()

    def _check(self, message: BlockMessage) -> None:
        self.wrong_model = message.model_hash != self._hash
        if self.wrong_model:
            text = (
                f"The blocks were made with model {message.model_hash:08x}..., this node has '{self._model.name}', "
                f"{self._hash:08x}...; start both nodes with the same model."
            )
            raise BadMessage("model", text)
        if len(message.keys) and message.states.shape[2] != self._channels:
            raise BadMessage("latent_blocks", f"A voxel has {message.states.shape[2]} values, not {self._channels}.")
        same_map = self.surface is not None and message.map_id == self.map_id
        if same_map and self.surface.latent.voxel_size_m != message.voxel_size_m:  # type: ignore[union-attr]
            raise BadMessage("latent_blocks", "The voxel size changed in the middle of a map.")

    def _clear(self, message: BlockMessage) -> None:
        self._changed = self._changed[:0]
        self.blocks_refused = self.newest_ns = 0
        if self.surface is not None and message.map_id == self._map_of_surface:
            self.surface.latent.clear()
            self.surface.clear()
            self.refills += 1
            return
        latent = BlockGrid(self._channels, message.voxel_size_m, self._device, torch.float16, self._max_bytes)
        self.surface = SurfaceMap(latent, self._model.translator)
        self._map_of_surface = message.map_id
        self.starts += 1

    def _write(self, surface: SurfaceMap, message: BlockMessage) -> None:
        latent, keys, removed = surface.latent, torch.from_numpy(message.keys), torch.from_numpy(message.removed)
        if len(keys):
            self.blocks_refused += latent.set_blocks(keys.to(self._device), message.states)
        rows = latent.find(removed.to(self._device))
        gone = removed[(rows >= 0).cpu()]
        latent.remove(rows[rows >= 0])
        surface.remove(gone.to(self._device))
        self._changed = torch.cat((self._changed, pack_keys(keys), pack_keys(gone))).unique()
