# SPDX-License-Identifier: Apache-2.0
"""Sends the blocks of a latent map as a numbered stream of messages, never faster than the receivers take them."""

from __future__ import annotations

import secrets
import time

import torch
from rclpy.duration import Duration
from rclpy.publisher import Publisher

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.messages.latent_blocks import BlockMessage, encode_blocks
from neuralfusion_ros.nodes.send_queue import SendQueue

BLOCKS_PER_MESSAGE = 64
# Of about 0.8 MB each: together they fit into the shared memory of the DDS profile and into a receiver's history.
MAX_UNACKNOWLEDGED = 32
_REMOVALS_PER_MESSAGE = 4096
_SEQUENCES = 2**32
_STALLED_S = 2.0
_ECHOES, _ECHO_AFTER_S = 3, 0.4


class BlockSender:
    """Keeps the blocks that wait to be sent, oldest change first. For one thread.

    A message carries the stamp of the newest image that is sent completely with it, 0 before there is one.
    map_id: of the present map. sequence: of the next message.

    publisher: of `latent_blocks`. frame_id: of the map. model_hash: of the model that makes the values.
    """

    def __init__(self, publisher: Publisher, frame_id: str, model_hash: int) -> None:
        self._publisher = publisher
        self.frame_id, self._model_hash = frame_id, model_hash
        self._queue = SendQueue()
        self._unacknowledged, self._held_since_s = 0, 0.0
        self._echoes_left, self._sent_s = 0, 0.0
        self._begin_map()

    @property
    def waiting(self) -> int:
        """Blocks that wait to be sent."""
        return self._queue.n_blocks

    @property
    def has_work(self) -> bool:
        """Something waits to be sent, be it only the news that the map is empty."""
        return not self._queue.is_empty or self._first_of_full

    def has_receivers(self) -> bool:
        """Somebody listens."""
        return bool(self._publisher.get_subscription_count())

    def start_new_map(self) -> None:
        """From now on another map is sent, which is empty at first; receivers are told even so."""
        self._begin_map()
        self._first_of_full = True

    def add(self, changed: torch.Tensor, removed: torch.Tensor, stamp_ns: int) -> None:
        """(N, 3) blocks that are new or changed and (R, 3) blocks that left the map, up to the image of that stamp."""
        self._queue.add(changed, removed, stamp_ns)

    def resend(self, grid: BlockGrid) -> None:
        """Begins to send the whole map once more."""
        self._queue.begin_again(grid.keys)
        self._first_of_full = True

    def send(self, grid: BlockGrid, max_messages: int) -> bool:
        """Sends a few messages with the present values of the blocks that have waited longest.

        Returns False when nothing could be sent because the receivers lag behind.
        """
        for _ in range(max_messages):
            if not self.has_work:
                break
            if self._must_hold():
                return False
            self._send_one(grid)
            self._echoes_left = _ECHOES
        return True

    def echo(self, grid: BlockGrid) -> float | None:
        """For when there is no work: after the last change, says a few times that nothing followed.

        So a receiver notices that it has lost the last message. Returns the seconds until it wants to be called again,
        None when it has said enough.
        """
        wait_s = self._sent_s + _ECHO_AFTER_S - time.monotonic()
        if not self._echoes_left:
            return None
        if wait_s > 0:
            return wait_s
        self._echoes_left -= 1
        self._send_one(grid)
        return _ECHO_AFTER_S

    def _begin_map(self) -> None:
        self.map_id, self.sequence, self._first_of_full = secrets.randbits(32), 0, False
        self._queue.clear()

    def _send_one(self, grid: BlockGrid) -> None:
        removed = self._queue.take_removed(_REMOVALS_PER_MESSAGE)
        # Every point of a message is as large as a block: removals go alone.
        keys = self._queue.take_blocks(0 if len(removed) else BLOCKS_PER_MESSAGE)
        rows = grid.find(keys.to(grid.device))
        keys, values = keys[(rows >= 0).cpu()], grid.values[rows[rows >= 0]]  # some may have left the map meanwhile
        message = BlockMessage(
            stamp_ns=self._queue.sent_ns,
            frame_id=self.frame_id,
            map_id=self.map_id,
            sequence=self.sequence,
            voxel_size_m=grid.voxel_size_m,
            model_hash=self._model_hash,
            first_of_full=self._first_of_full,
            n_blocks_total=grid.n_blocks,
            keys=keys.numpy(),
            states=values.cpu().numpy().reshape(len(keys), BLOCK_VOXELS, grid.channels),
            removed=removed.numpy(),
        )
        self._publisher.publish(encode_blocks(message))
        self.sequence = (self.sequence + 1) % _SEQUENCES
        self._first_of_full = False
        self._unacknowledged += 1
        self._sent_s = time.monotonic()

    def _must_hold(self) -> bool:
        """True while the receivers lag behind. One that does not answer at all must not stop the others for ever."""
        if self._unacknowledged < MAX_UNACKNOWLEDGED:
            return False
        now_s = time.monotonic()
        self._held_since_s = self._held_since_s or now_s
        acknowledged = self._publisher.wait_for_all_acked(Duration(nanoseconds=0))
        if not acknowledged and now_s - self._held_since_s < _STALLED_S:
            return True
        self._unacknowledged, self._held_since_s = 0, 0.0
        return False


def model_hash(sha256: str) -> int:
    """The first 4 bytes of a model's sha256 as a number; 0 for a model that was not loaded from a file."""
    return int(sha256[:8] or "0", 16)
