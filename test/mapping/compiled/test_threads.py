# SPDX-License-Identifier: Apache-2.0
"""Work in threads: all of it, once, and errors come back."""

import threading

import pytest

from neuralfusion_ros.mapping.compiled import threads
from neuralfusion_ros.mapping.compiled.threads import in_threads


@pytest.mark.parametrize("cores", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 9, 10, 33])
def test_all_is_done_once(monkeypatch, cores, n):
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    done = [0] * n
    sizes = []

    def work(part: slice) -> None:
        sizes.append(part.stop - part.start)
        for i in range(part.start, part.stop):
            done[i] += 1

    in_threads(work, n, 5)
    assert done == [1] * n
    assert min(sizes) >= min(n, 5) and len(sizes) <= max(1, 4 * cores)


def test_parts_run_side_by_side(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    meeting = threading.Barrier(2)

    def work(part: slice) -> None:
        meeting.wait(10)

    in_threads(work, 2, 1)


def test_who_is_slow_does_less(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    slow = threading.Event()
    done: list[int] = []

    def work(part: slice) -> None:
        if part.start == 0:
            assert slow.wait(10), "the others wait for this one"
        done.append(part.start)
        if len(done) == 7:
            slow.set()

    in_threads(work, 8, 1)
    assert done[-1] == 0 and sorted(done) == list(range(8))


@pytest.mark.parametrize("where", [0, 5, 15])
def test_an_error_in_any_part_comes_back(monkeypatch, where):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)

    def work(part: slice) -> None:
        if part.start == where:
            raise IndexError("no")

    with pytest.raises(IndexError, match="no"):
        in_threads(work, 20, 5)
