# SPDX-License-Identifier: Apache-2.0
"""Order, bound and thread safety of the queue."""

from __future__ import annotations

from collections import deque
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralfusion_ros.nodes.bounded_queue import BoundedQueue


@given(st.integers(1, 5), st.lists(st.sampled_from(["put", "take"]), max_size=40))
def test_it_is_a_fifo_that_drops_the_oldest(max_length, actions):
    queue: BoundedQueue[list[int]] = BoundedQueue(max_length)
    model: deque[list[int]] = deque()
    for number, action in enumerate(actions):
        if action == "put":
            dropped = model.popleft() if len(model) == max_length else None
            model.append([number])
            assert queue.put(model[-1]) == dropped
        elif model:
            item = queue.oldest()
            assert item is model.popleft()
            assert queue.remove(item)
        assert len(queue) == len(model)
    assert queue.take_all() == list(model)
    assert queue.oldest() is None


def test_an_item_that_was_dropped_cannot_be_removed():
    queue: BoundedQueue[object] = BoundedQueue(1)
    first, second = object(), object()
    queue.put(first)
    assert queue.put(second) is first
    assert not queue.remove(first)
    assert queue.oldest() is second


def test_a_queue_without_room_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        BoundedQueue(0)


def test_nothing_is_lost_between_threads():
    queue: BoundedQueue[list[int]] = BoundedQueue(3)
    put, dropped, taken = 2000, [], []

    def produce():
        for number in range(put):
            out = queue.put([number])
            if out is not None:
                dropped.append(out[0])

    producer = Thread(target=produce)
    producer.start()
    while producer.is_alive() or len(queue):
        item = queue.oldest()
        if item is not None and queue.remove(item):
            taken.append(item[0])
    producer.join()
    assert sorted(taken + dropped) == list(range(put))
    assert taken == sorted(taken)
