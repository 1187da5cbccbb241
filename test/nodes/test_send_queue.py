# SPDX-License-Identifier: Apache-2.0
"""The stamp of a message says which images are sent completely."""

from __future__ import annotations

import torch

from neuralfusion_ros.nodes.send_queue import SendQueue

NONE = torch.zeros((0, 3), dtype=torch.int32)


def line(count, first=0):
    return torch.tensor([[number, 0, 0] for number in range(first, first + count)], dtype=torch.int32)


def stamps(queue, most=2):
    """The stamp after each message until nothing waits."""
    found = []
    while not queue.is_empty:
        if not len(queue.take_removed(most)):
            queue.take_blocks(most)
        found.append(queue.sent_ns)
    return found


def test_an_image_is_sent_with_its_last_block():
    queue = SendQueue()
    queue.add(line(5), NONE, 10)
    assert queue.sent_ns == 0
    assert stamps(queue) == [0, 0, 10]
    queue.add(line(2), NONE, 20)
    assert stamps(queue) == [20]


def test_a_backlog_completes_one_image_after_the_other():
    queue = SendQueue()
    queue.add(line(4), NONE, 10)
    queue.add(line(6), NONE, 20)  # four of them wait already
    queue.add(line(1), NONE, 30)  # nothing more than what waits
    queue.add(line(2, first=6), NONE, 40)
    assert stamps(queue) == [0, 10, 30, 40]


def test_removals_belong_to_the_image():
    queue = SendQueue()
    queue.add(line(4), NONE, 10)
    queue.add(NONE, line(2), 20)
    assert stamps(queue) == [0, 20]  # the removals, then the two blocks that stay


def test_an_image_that_changed_nothing_is_sent_at_once():
    queue = SendQueue()
    queue.add(NONE, NONE, 10)
    assert queue.sent_ns == 10 and queue.is_empty


def test_what_is_sent_once_more_is_complete_at_its_end():
    queue = SendQueue()
    queue.add(line(4), NONE, 10)
    stamps(queue)
    queue.begin_again(line(4))
    assert stamps(queue) == [0, 10]
    queue.add(line(2), NONE, 20)
    queue.clear()
    assert queue.is_empty and queue.sent_ns == 0
