# SPDX-License-Identifier: Apache-2.0
"""Kernels run without the interpreter's lock, so plain threads share their work."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Does all of 0..n in parts of at least `least`, side by side on the cores that the process may use.

    The other threads are as nice as the first one that called.
    """
    parts = max(1, min(usable_cores(), n // least))
    own, *others = (slice(*ends) for ends in pairwise(n * part // parts for part in range(parts + 1)))
    waiting = [_threads().submit(work, part) for part in others]
    try:
        work(own)
    finally:
        for other in waiting:
            other.exception()  # waits; nobody may still write when this function ends
    for other in waiting:
        other.result()


def usable_cores() -> int:
    """Cores that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
