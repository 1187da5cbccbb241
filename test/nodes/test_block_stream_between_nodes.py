# SPDX-License-Identifier: Apache-2.0
"""What the sender sends, the copy becomes: from the beginning, late, with gaps, after a reset."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.block_index import pack_keys
from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.voxel_state import n_channels
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.latent_blocks import BlockMessage, decode_blocks, encode_blocks
from neuralfusion_ros.nodes.block_sender import BLOCKS_PER_MESSAGE, MAX_UNACKNOWLEDGED, BlockSender, model_hash
from neuralfusion_ros.nodes.latent_copy import LatentCopy

MODEL = LatentModel(Architecture(latent_channels=1), "test", sha256="0123456789abcdef")
CHANNELS = n_channels(1)


class Sender:
    """A sender with its map and a list of the messages on their way."""

    def __init__(self, publisher):
        self.grid = BlockGrid(CHANNELS, 0.05)
        self.publisher = publisher
        self.sender = BlockSender(publisher, "odom", model_hash(MODEL.sha256))

    def change(self, keys, value, stamp_ns=1):
        keys = torch.tensor(keys, dtype=torch.int32).reshape(-1, 3)
        self.grid.set_blocks(keys, torch.full((len(keys), 512, CHANNELS), float(value)))
        self.sender.add(keys, keys[:0], stamp_ns)

    def remove(self, keys):
        keys = torch.tensor(keys, dtype=torch.int32).reshape(-1, 3)
        self.grid.remove(self.grid.find(keys))
        self.sender.add(keys[:0], keys, 1)

    def send(self):
        while self.sender.has_work:
            assert self.sender.send(self.grid, max_messages=8)
        messages, self.publisher.messages[:] = list(self.publisher.messages), []
        return messages


@pytest.fixture
def sender(publisher):
    return Sender(publisher)


@pytest.fixture
def make_copy():
    return lambda model=MODEL, max_bytes=1 << 28: LatentCopy(model, torch.device("cpu"), max_bytes)


def line(count, first=0):
    return [(number, 0, 0) for number in range(first, first + count)]


def apply(copy, messages):
    for message in messages:
        copy.apply(decode_blocks(message))


def content(grid):
    order = pack_keys(grid.keys).argsort()
    return grid.keys[order], grid.values[order]


def assert_same(copy, sender):
    for ours, theirs in zip(content(copy.surface.latent), content(sender.grid), strict=True):
        assert torch.equal(ours, theirs)


def test_a_copy_from_the_beginning_is_complete(sender, make_copy):
    copy = make_copy()
    for step in range(3):
        sender.change(line(100, first=50 * step), step, stamp_ns=step)
        apply(copy, sender.send())
        assert copy.complete and copy.filled
        assert_same(copy, sender)
    assert copy.newest_ns == 2 and copy.frame_id == "odom"


def test_messages_are_small_and_numbered(sender):
    sender.change(line(2 * BLOCKS_PER_MESSAGE + 1), 1)
    messages = [decode_blocks(message) for message in sender.send()]
    assert [len(message.keys) for message in messages] == [BLOCKS_PER_MESSAGE, BLOCKS_PER_MESSAGE, 1]
    assert [message.sequence for message in messages] == [0, 1, 2]
    assert {message.n_blocks_total for message in messages} == {2 * BLOCKS_PER_MESSAGE + 1}


def test_removed_blocks_leave_the_copy_too(sender, make_copy):
    copy = make_copy()
    sender.change(line(100), 1)
    apply(copy, sender.send())
    sender.remove(line(30, first=20))
    apply(copy, sender.send())
    assert copy.n_blocks == 70
    assert_same(copy, sender)


def test_a_block_that_comes_back_before_it_was_reported_gone_stays(sender, make_copy):
    copy = make_copy()
    sender.change(line(3), 1)
    apply(copy, sender.send())
    sender.remove(line(2))
    sender.change(line(1), 2)
    apply(copy, sender.send())
    assert copy.n_blocks == 2
    assert_same(copy, sender)


def test_a_block_that_leaves_before_it_was_sent_is_never_sent(sender, make_copy):
    copy = make_copy()
    sender.change(line(3), 1)
    sender.grid.remove(sender.grid.find(torch.tensor(line(1))))  # not reported yet
    apply(copy, sender.send())
    assert copy.n_blocks == 2
    sender.sender.add(torch.zeros((0, 3), dtype=torch.int32), torch.tensor(line(1)), 1)
    apply(copy, sender.send())
    assert_same(copy, sender)


def test_the_oldest_change_is_sent_first(sender):
    sender.change([(9, 0, 0)], 1)
    sender.change([(0, 0, 0), (9, 0, 0)], 2)
    message = decode_blocks(sender.send()[0])
    assert message.keys.tolist() == [[9, 0, 0], [0, 0, 0]]
    assert (message.states == 2).all()


def test_a_late_copy_is_incomplete_until_a_resend(sender, make_copy):
    sender.change(line(100), 1)
    sender.send()
    copy = make_copy()
    sender.change(line(3), 2)
    apply(copy, sender.send())
    assert not copy.complete and copy.n_blocks == 3
    sender.sender.resend(sender.grid)
    apply(copy, sender.send())
    assert copy.complete and copy.filled and copy.starts == 1 and copy.refills == 1
    assert_same(copy, sender)


def test_a_reset_gives_a_new_empty_map(sender, make_copy):
    copy = make_copy()
    sender.change(line(10), 1)
    apply(copy, sender.send())
    before = copy.map_id
    sender.grid.clear()
    sender.sender.start_new_map()
    messages = sender.send()
    assert len(messages) == 1 and decode_blocks(messages[0]).first_of_full
    apply(copy, messages)
    assert copy.map_id != before and copy.n_blocks == 0 and copy.complete and copy.starts == 2


def test_a_resend_of_an_empty_map_tells_so(sender, make_copy):
    copy = make_copy()
    sender.sender.resend(sender.grid)
    apply(copy, sender.send())
    assert copy.complete and copy.filled and copy.n_blocks == 0


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_lost_a_resend_makes_it_whole(sender, make_copy, seed):
    copy, rng, lost = make_copy(), random.Random(seed), 0
    for step in range(5):
        sender.change(line(rng.randint(1, 150), first=rng.randint(0, 99)), step)
        for message in sender.send():
            if rng.random() < 0.1 * (seed % 4):
                lost += 1
            else:
                apply(copy, [message])
    if not lost:
        assert_same(copy, sender)
    sender.sender.resend(sender.grid)
    apply(copy, sender.send())
    assert copy.complete
    assert_same(copy, sender)


def test_the_sender_waits_for_receivers_that_lag_but_not_for_ever(sender, publisher, monkeypatch):
    publisher.acknowledged = False
    sender.change(line(BLOCKS_PER_MESSAGE * (MAX_UNACKNOWLEDGED + 5)), 1)
    assert not sender.sender.send(sender.grid, max_messages=1000)
    assert len(publisher.messages) == MAX_UNACKNOWLEDGED
    assert not sender.sender.send(sender.grid, max_messages=1000)
    monkeypatch.setattr("neuralfusion_ros.nodes.block_sender._STALLED_S", 0.0)
    assert sender.sender.send(sender.grid, max_messages=1000)
    assert len(publisher.messages) == MAX_UNACKNOWLEDGED + 5


def test_blocks_of_another_model_are_refused(sender, make_copy):
    copy = make_copy(LatentModel(Architecture(latent_channels=1), "other", sha256="ffffffff"))
    sender.change(line(1), 1)
    with pytest.raises(BadMessage, match=r"made with model 01234567.*has 'other', ffffffff") as error:
        apply(copy, sender.send())
    assert error.value.reason == "model"
    assert copy.wrong_model and copy.surface is None


def test_a_full_copy_counts_what_does_not_fit(sender, make_copy):
    copy = make_copy(max_bytes=10 * 512 * CHANNELS * 2)
    sender.change(line(25), 1)
    apply(copy, sender.send())
    assert copy.n_blocks == 10 and copy.blocks_refused == 15 and copy.filled


def message_of(**changes):
    message = BlockMessage(
        stamp_ns=1,
        frame_id="odom",
        map_id=1,
        sequence=0,
        voxel_size_m=0.05,
        model_hash=model_hash(MODEL.sha256),
        first_of_full=False,
        n_blocks_total=1,
        keys=np.zeros((1, 3), np.int32),
        states=np.ones((1, 512, CHANNELS), np.float16),
        removed=np.zeros((0, 3), np.int32),
    )
    return encode_blocks(replace(message, **changes))


def test_a_removed_block_is_gone(make_copy):
    copy = make_copy()
    removed = np.array([[0, 0, 0], [7, 7, 7]], np.int32)
    keys, states = np.zeros((0, 3), np.int32), np.zeros((0, 512, 0), np.float16)
    apply(copy, [message_of(), message_of(sequence=1, removed=removed, keys=keys, states=states)])
    assert copy.n_blocks == 0
    assert copy.take_changed().tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    "changes",
    [{"states": np.ones((1, 512, CHANNELS + 1), np.float16)}, {"voxel_size_m": 0.06}],
    ids=["channels", "voxel size"],
)
def test_a_message_that_does_not_fit_the_map_changes_nothing(make_copy, changes):
    copy = make_copy()
    apply(copy, [message_of()])
    with pytest.raises(BadMessage):
        apply(copy, [message_of(sequence=1, **changes)])
    assert copy.n_blocks == 1 and (copy.surface.latent.values == 1).all()
