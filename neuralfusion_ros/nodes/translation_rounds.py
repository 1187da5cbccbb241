# SPDX-License-Identifier: Apache-2.0
"""Translates changed blocks slice by slice, in rounds."""

from __future__ import annotations

import time

import torch

from neuralfusion_ros.mapping.block_grid import blocks_around
from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.nodes.diagnostics import Durations
from neuralfusion_ros.nodes.latent_copy import LatentCopy


class TranslationRounds:
    """A round takes all blocks that have changed and ends when all are translated; what changes meanwhile waits for
    the next one. So no block waits for ever, however fast the map changes. For one thread.

    max_blocks: of a slice; may be changed. shown_ns: stamp of the newest message that is translated completely.
    durations: of slices.
    """

    def __init__(self, copy: LatentCopy, max_blocks: int) -> None:
        self._copy, self.max_blocks = copy, max_blocks
        self.durations = Durations()
        self.in_round = False
        self.shown_ns = self._round_ns = 0
        self._map = (0, 0)
        self._round = self._translated = torch.zeros(0, dtype=torch.int64)

    @property
    def waiting(self) -> int:
        """Blocks that wait for translation."""
        surface = self._copy.surface
        return self._copy.n_changed + (surface.pending if surface else 0)

    def advance(self) -> bool:
        """Translates one slice. Returns False when there was nothing to do."""
        surface = self._copy.surface
        if surface is None:
            return False
        self._notice_restart()
        if not self.in_round:
            if self.waiting == 0:
                return False
            self._begin()
        begin_s = time.perf_counter()
        surface.translate(self.max_blocks)
        self.durations.add(time.perf_counter() - begin_s)
        if surface.pending == 0:
            self.in_round = False
            self.shown_ns = self._round_ns
            self._translated = torch.cat((self._translated, self._round)).unique()
        return True

    def take_translated(self) -> torch.Tensor:
        """(N, 3) blocks of the rounds that ended since the last call; some may not exist."""
        translated, self._translated = self._translated, self._translated[:0]
        return unpack_keys(translated)

    def _begin(self) -> None:
        surface = self._copy.surface
        assert surface is not None
        keys = self._copy.take_changed()
        surface.mark_changed(keys.to(surface.latent.device))
        self._round, self._round_ns = _with_neighbours(keys), self._copy.newest_ns
        self.in_round = True

    def _notice_restart(self) -> None:
        now = (self._copy.starts, self._copy.refills)
        if now != self._map:
            self._map, self.in_round = now, False
            self._translated = self._translated[:0]


def _with_neighbours(keys: torch.Tensor) -> torch.Tensor:
    """(N, 3) blocks to the packed keys of them and the blocks around, whose translation depends on them."""
    return pack_keys(blocks_around(keys).reshape(-1, 3)).unique()
