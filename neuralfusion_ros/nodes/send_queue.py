# SPDX-License-Identifier: Apache-2.0
"""The blocks of a map that wait to be sent, and which images they complete."""

from __future__ import annotations

from collections import deque

import torch

from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys


class SendQueue:
    """Removals first, then blocks, oldest change first. For one thread.

    sent_ns: stamp of the newest image of which nothing waits any more; 0 before the first one.
    """

    def __init__(self) -> None:
        self._blocks = self._removed = torch.zeros(0, dtype=torch.int64)
        # (blocks, stamp): when so many blocks from the front have gone, the image of that stamp is sent.
        self._marks: deque[tuple[int, int]] = deque()
        self._newest_ns = self.sent_ns = 0

    @property
    def n_blocks(self) -> int:
        """Changed blocks that wait."""
        return len(self._blocks)

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return self.n_blocks == 0 and len(self._removed) == 0

    def clear(self) -> None:
        """Another map begins, of which no image is sent yet."""
        self._blocks, self._removed = self._blocks[:0], self._removed[:0]
        self._marks.clear()
        self._newest_ns = self.sent_ns = 0

    def add(self, changed: torch.Tensor, removed: torch.Tensor, stamp_ns: int) -> None:
        """(N, 3) blocks that are new or changed and (R, 3) blocks that left the map, up to the image of that stamp."""
        here, gone = pack_keys(changed.cpu()).unique(), pack_keys(removed.cpu()).unique()
        self._drop(gone)
        self._blocks = torch.cat((self._blocks, here[~torch.isin(here, self._blocks)]))
        self._removed = torch.cat((self._removed, gone)).unique()
        self._removed = self._removed[~torch.isin(self._removed, here)]
        self._newest_ns = stamp_ns
        self._mark()

    def begin_again(self, keys: torch.Tensor) -> None:
        """All (N, 3) blocks of the map are to be sent once more; until then no image is sent."""
        self._blocks, self._removed = pack_keys(keys.cpu()), self._removed[:0]
        self._marks.clear()
        self.sent_ns = 0
        self._mark()

    def take_removed(self, most: int) -> torch.Tensor:
        """(R, 3) blocks that are gone, at most so many."""
        taken, self._removed = self._removed[:most], self._removed[most:]
        self._note_sent(0)
        return unpack_keys(taken)

    def take_blocks(self, most: int) -> torch.Tensor:
        """(N, 3) blocks that have waited longest, at most so many."""
        taken, self._blocks = self._blocks[:most], self._blocks[most:]
        self._note_sent(len(taken))
        return unpack_keys(taken)

    def _drop(self, gone: torch.Tensor) -> None:
        stays = ~torch.isin(self._blocks, gone)
        self._marks = deque((int(stays[:blocks].sum()), stamp_ns) for blocks, stamp_ns in self._marks)
        self._blocks = self._blocks[stays]

    def _mark(self) -> None:
        if self._marks and self._marks[-1][0] == self.n_blocks:
            self._marks.pop()
        self._marks.append((self.n_blocks, self._newest_ns))
        self._note_sent(0)

    def _note_sent(self, count: int) -> None:
        self._marks = deque((blocks - count, stamp_ns) for blocks, stamp_ns in self._marks)
        while self._marks and self._marks[0][0] <= 0 and len(self._removed) == 0:
            self.sent_ns = self._marks.popleft()[1]
