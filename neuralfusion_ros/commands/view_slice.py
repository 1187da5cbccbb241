# SPDX-License-Identifier: Apache-2.0
"""A level slice of the map in a stream of blocks, coloured by latent vectors or by uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE
from neuralfusion_ros.mapping.latent_colours import LatentColours, fit_colours
from neuralfusion_ros.mapping.surface_evidence import uncertainty
from neuralfusion_ros.mapping.voxel_state import LATENT, WEIGHT
from neuralfusion_ros.messages.block_stream import BlockStreamReceiver
from neuralfusion_ros.messages.latent_blocks import BlockMessage
from neuralfusion_ros.messages.mesh_colours import LATENT as LATENT_COLOURS
from neuralfusion_ros.messages.mesh_colours import uncertainty_colours

MAX_BLOCKS = 20_000  # about 250 MB
_FIT_VOXELS = 20_000
_FIT_AGAIN = 1.5

Key = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Slice:
    """positions_m: (N, 3) centres of the voxels with evidence of a surface. colours: (N, 3) in 0..1."""

    positions_m: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]


class MapSlice:
    """Keeps the newest blocks that came by; asks for none, so that nobody else has to receive them twice.

    axis: of the world that heights are measured along, 0 to 2. voxel_size_m: 0 before the first message. is_old: blocks
    have come since the last slice.
    """

    def __init__(self, axis: int = 2) -> None:
        self.axis = axis
        self._receiver = BlockStreamReceiver()
        self._blocks: dict[Key, npt.NDArray[np.float16]] = {}
        self._colours: LatentColours | None = None
        self._fitted_blocks = 0
        self.voxel_size_m = 0.0
        self.is_old = False

    @property
    def n_blocks(self) -> int:
        """Blocks that are kept."""
        return len(self._blocks)

    def apply(self, message: BlockMessage) -> None:
        """Takes in a message."""
        step = self._receiver.follow(message.map_id, message.sequence, message.first_of_full)
        if not step.apply:
            return
        if step.clear:
            self._blocks.clear()
            self._colours, self._fitted_blocks = None, 0
        self.voxel_size_m = message.voxel_size_m
        for key, states in zip(message.keys.tolist(), message.states, strict=True):
            self._blocks.pop(tuple(key), None)  # so that the order is that of the last change
            self._blocks[tuple(key)] = states
        for key in message.removed.tolist():
            self._blocks.pop(tuple(key), None)
        while len(self._blocks) > MAX_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        self.is_old = True

    def heights_m(self) -> tuple[float, float, float]:
        """Lowest, mean and highest height of the blocks; all 0 without any."""
        layers = [key[self.axis] for key in self._blocks] or [0]
        block_m = BLOCK_SIZE * self.voxel_size_m
        top = max(layers) + 1 if self._blocks else 0
        return min(layers) * block_m, float(np.mean(layers)) * block_m, top * block_m

    def at(self, height_m: float, colours: str = LATENT_COLOURS) -> Slice:
        """The voxels that hold this height. colours: LATENT or UNCERTAINTY of messages/mesh_colours."""
        self.is_old = False
        layer = int(np.floor(height_m / self.voxel_size_m)) if self._blocks else 0
        k, at = divmod(layer, BLOCK_SIZE)
        keys = [key for key in self._blocks if key[self.axis] == k]
        # (512, C) with the number of a voxel as in docs/conventions.md, to (8, 8, C).
        cube = (BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, -1)
        some = [self._blocks[key].reshape(cube).take(at, axis=self.axis) for key in keys]
        if not some:
            return Slice(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
        states = np.stack(some).astype(np.float32)
        block, *others = np.nonzero(states[..., WEIGHT] > 0)
        inside = np.insert(np.stack(others, axis=-1), self.axis, at, axis=-1)
        voxels = np.array(keys)[block] * BLOCK_SIZE + inside
        positions = ((voxels + 0.5) * self.voxel_size_m).astype(np.float32)
        found = states[(block, *others)]
        if colours == LATENT_COLOURS:
            return Slice(positions, self._fitted().colours(found[:, LATENT]))
        return Slice(positions, uncertainty_colours(uncertainty(torch.from_numpy(found)).numpy()))

    def _fitted(self) -> LatentColours:
        """The colours, which change only when the map has grown much, so that the picture is calm."""
        if self._colours is None or self.n_blocks > _FIT_AGAIN * self._fitted_blocks:
            self._colours, self._fitted_blocks = fit_colours(self._sample()), self.n_blocks
        return self._colours

    def _sample(self) -> npt.NDArray[np.float32]:
        """(N, L) latent vectors of some voxels with evidence, N at least 1."""
        step = max(1, self.n_blocks * 100 // _FIT_VOXELS)  # a block of a surface has about a hundred of them
        states = np.concatenate(list(self._blocks.values())[::step])
        found = states[states[:, WEIGHT] > 0]
        return (found if len(found) else states)[:, LATENT].astype(np.float32)
