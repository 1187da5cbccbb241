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
    used = set()

    def work(part: slice) -> None:
        used.add(threading.get_ident())
        for i in range(part.start, part.stop):
            done[i] += 1

    in_threads(work, n, 5)
    assert done == [1] * n
    assert threading.get_ident() in used


def test_parts_run_side_by_side(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    meeting = threading.Barrier(2)

    def work(part: slice) -> None:
        meeting.wait(10)

    in_threads(work, 2, 1)


def test_an_error_in_any_part_comes_back(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)

    def work(part: slice) -> None:
        if part.start > 0:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_threads(work, 20, 5)
