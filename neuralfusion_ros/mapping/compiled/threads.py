# SPDX-License-Identifier: Apache-2.0
"""Kernels run without the interpreter's lock, so plain threads share their work."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

_PARTS_PER_CORE = 4


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Does all of 0..n in parts of at least `least`, side by side on the cores that the process may use.

    Whoever is done takes the next part: a core that is slow, or busy with something else, does less. The other threads
    are as nice as the first one that called.
    """
    cores = usable_cores()
    parts = max(1, min(_PARTS_PER_CORE * cores, n // least)) if cores > 1 else 1
    waiting = deque(slice(*ends) for ends in pairwise(n * part // parts for part in range(parts + 1)))

    def take_parts() -> None:
        while True:
            try:
                part = waiting.popleft()
            except IndexError:
                return
            work(part)

    others = [_threads().submit(take_parts) for _ in range(min(cores, parts) - 1)]
    try:
        take_parts()
    finally:
        # Nobody may still write when this function ends. Who has not begun need not.
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()


def usable_cores() -> int:
    """Cores that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
