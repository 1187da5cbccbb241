# SPDX-License-Identifier: Apache-2.0
"""Reading ahead."""

import threading
from collections.abc import Iterator

import pytest

from neuralfusion_ros.commands.read_ahead import read_ahead


def counted(taken: list[int], end: int = 10**9) -> Iterator[int]:
    for number in range(end):
        taken.append(number)
        yield number


def test_items_come_in_order():
    assert list(read_ahead(counted([], 50))) == list(range(50))
    assert list(read_ahead([])) == []


def test_it_reads_ahead_in_another_thread_but_not_far():
    taken: list[int] = []
    threads = set()

    def items() -> Iterator[int]:
        for number in counted(taken):
            threads.add(threading.get_ident())
            yield number

    reader = read_ahead(items(), count=3)
    for number in range(5):
        assert next(reader) == number
        assert len(taken) <= number + 1 + 3
    # What the end of a `for` loop by an error does.
    del reader
    assert threads.isdisjoint({threading.get_ident()})
    assert len(taken) <= 8
    assert not any(thread.name.startswith("read_ahead") for thread in threading.enumerate())


def test_errors_arrive_in_their_place():
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    reader = read_ahead(items())
    assert next(reader) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(reader)
