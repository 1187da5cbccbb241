# SPDX-License-Identifier: Apache-2.0
"""Following a stream of block messages through loss, reordering, resets and resends."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from neuralfusion_ros.messages.block_stream import (
    APPLY,
    APPLY_INCOMPLETE,
    CLEAR_AND_APPLY,
    CLEAR_AND_APPLY_INCOMPLETE,
    IGNORE,
    BlockStreamReceiver,
)


def follow(*messages):
    receiver = BlockStreamReceiver()
    return [receiver.follow(*message) for message in messages]


def test_an_unbroken_stream_is_applied():
    assert follow((5, 0, True), (5, 1, False), (5, 2, False)) == [CLEAR_AND_APPLY, APPLY, APPLY]


def test_a_gap_asks_until_a_full_map_begins():
    steps = follow((5, 0, True), (5, 2, False), (5, 3, False), (5, 4, True), (5, 5, False))
    assert steps == [CLEAR_AND_APPLY, APPLY_INCOMPLETE, APPLY_INCOMPLETE, CLEAR_AND_APPLY, APPLY]


def test_a_gap_inside_a_resend_asks_again():
    assert follow((5, 0, True), (5, 4, True), (5, 6, False))[-1] == APPLY_INCOMPLETE


def test_older_messages_are_ignored():
    assert follow((5, 3, True), (5, 2, False), (5, 3, True), (5, 4, False))[1:] == [IGNORE, IGNORE, APPLY]


def test_a_late_starter_asks():
    assert follow((5, 9, False), (5, 10, False)) == [CLEAR_AND_APPLY_INCOMPLETE, APPLY_INCOMPLETE]


def test_a_new_map_replaces_the_old_one():
    assert follow((5, 8, True), (6, 0, False)) == [CLEAR_AND_APPLY, CLEAR_AND_APPLY]
    assert follow((5, 8, True), (6, 2, False)) == [CLEAR_AND_APPLY, CLEAR_AND_APPLY_INCOMPLETE]


def test_sequence_numbers_wrap_round():
    assert follow((5, 2**32 - 1, True), (5, 0, False), (5, 2**32 - 1, False), (5, 1, False))[1:] == [
        APPLY,
        IGNORE,
        APPLY,
    ]


@dataclass(frozen=True)
class Message:
    map_id: int
    sequence: int
    first_of_full: bool
    blocks: dict[int, int]
    removed: frozenset[int]


class Sender:
    """A map of a few blocks, each holding the number of its last change. At most two blocks fit into a message."""

    def __init__(self):
        self.map_id, self.changes = 0, 0
        self.reset()

    def reset(self):
        self.map_id += 1
        self.blocks, self.sequence, self.unsent, self.removed, self.begins = {}, 0, [], set(), True

    def change(self, key):
        self.changes += 1
        self.blocks[key] = self.changes
        self.removed.discard(key)
        self.unsent = [other for other in self.unsent if other != key] + [key]

    def remove(self, key):
        if self.blocks.pop(key, None):
            self.removed.add(key)
            self.unsent = [other for other in self.unsent if other != key]

    def resend(self):
        self.unsent, self.removed, self.begins = list(self.blocks), set(), True

    def message(self):
        sent, self.unsent = self.unsent[:2], self.unsent[2:]
        blocks = {key: self.blocks[key] for key in sent}
        message = Message(self.map_id, self.sequence, self.begins, blocks, frozenset(self.removed))
        self.sequence, self.removed, self.begins = self.sequence + 1, set(), False
        return message


class Receiver:
    def __init__(self):
        self.stream, self.blocks = BlockStreamReceiver(), {}

    def receive(self, message):
        """Returns whether a resend is wanted."""
        step = self.stream.follow(message.map_id, message.sequence, message.first_of_full)
        if step.clear:
            self.blocks = {}
        if step.apply:
            self.blocks.update(message.blocks)
            for key in message.removed:
                self.blocks.pop(key, None)
        return step.request_resend


keys = st.integers(0, 5)
actions = st.one_of(
    st.tuples(st.sampled_from(["change", "remove"]), keys),
    st.tuples(st.sampled_from(["reset", "resend"])),
    st.tuples(st.just("send")),
    st.tuples(st.sampled_from(["deliver", "lose"]), st.integers(0, 20)),
    st.tuples(st.just("deliver"), st.just(0)),
)


@given(st.lists(actions, max_size=60))
def test_any_loss_and_reordering_ends_in_the_map_of_the_sender(history):
    sender, receiver, on_the_way = Sender(), Receiver(), []
    for action, *argument in history:
        if action == "send":
            on_the_way.append(sender.message())
        elif action in ("deliver", "lose"):
            if on_the_way:
                message = on_the_way.pop(argument[0] % len(on_the_way))
                if action == "deliver":
                    receiver.receive(message)
        else:
            getattr(sender, action)(*argument)
    # From here on the line is good. One message shows the receiver whether it missed any.
    if receiver.receive(sender.message()):
        sender.resend()
    wanted = [receiver.receive(sender.message()) for _ in range(1 + len(sender.unsent))]
    assert not any(wanted)
    assert receiver.stream.complete and receiver.stream.map_id == sender.map_id
    assert receiver.blocks == sender.blocks


@given(
    st.lists(
        st.one_of(st.tuples(st.just("change"), keys), st.tuples(st.just("remove"), keys), st.tuples(st.just("send")))
    )
)
def test_a_receiver_that_says_complete_holds_the_map(history):
    sender, receiver = Sender(), Receiver()
    for action, *argument in history:
        if action != "send":
            getattr(sender, action)(*argument)
            continue
        assert not receiver.receive(sender.message())
        if not sender.unsent:
            assert receiver.blocks == sender.blocks
