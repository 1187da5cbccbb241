# SPDX-License-Identifier: Apache-2.0
"""Follows a stream of block messages: which of them to apply, and when a full resend is needed.

The sender numbers its messages and names its map. Blocks are always sent whole, so a message may be applied even
when others were lost; the map is then incomplete until the sender has begun a full resend.
"""

from __future__ import annotations

from dataclasses import dataclass

_SEQUENCES = 2**32


@dataclass(frozen=True)
class Step:
    """What to do with a message, in this order. A request may be repeated at leisure: every answer is a full map."""

    clear: bool = False
    apply: bool = True
    request_resend: bool = False


APPLY = Step()
CLEAR_AND_APPLY = Step(clear=True)
APPLY_INCOMPLETE = Step(request_resend=True)
CLEAR_AND_APPLY_INCOMPLETE = Step(clear=True, request_resend=True)
IGNORE = Step(apply=False)


class BlockStreamReceiver:
    """The receiver's place in the stream.

    map_id: the map that is being followed, None before the first message. complete: the receiver holds all that the
    sender sent up to its last message, or is in the middle of a resend without a gap.
    """

    def __init__(self) -> None:
        self.map_id: int | None = None
        self.complete = False
        self._expected = 0

    def sender_came(self) -> None:
        """Another sender, or the same anew, is heard from now on; what it said before is not known."""
        self.complete = False

    def follow(self, map_id: int, sequence: int, first_of_full: bool) -> Step:
        """Takes note of a message and says what to do with it.

        An older message of the same map is ignored. A gap, or another map that is not seen from its beginning, asks
        for a resend with this and every following message until a message that begins a full map arrives.
        """
        same_map = map_id == self.map_id
        # Sequence numbers wrap round, so "older" means less than half the range back.
        ahead = (sequence - self._expected) % _SEQUENCES
        if same_map and ahead >= _SEQUENCES // 2:
            return IGNORE
        begins = first_of_full or (sequence == 0 and not same_map)
        self.complete = begins or (self.complete and same_map and ahead == 0)
        self.map_id, self._expected = map_id, sequence + 1
        if begins:
            return CLEAR_AND_APPLY
        if same_map:
            return APPLY if self.complete else APPLY_INCOMPLETE
        return CLEAR_AND_APPLY_INCOMPLETE
