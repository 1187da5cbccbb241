# SPDX-License-Identifier: Apache-2.0
"""Kernels run without the interpreter's lock, so plain threads share their work."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Does all of 0..n in parts of at least `least`, side by side on the cores that the process may use.

    The threads are as nice as the one that calls.
    """
    parts = max(1, min(_usable_cores(), n // least))
    slices = [slice(*ends) for ends in pairwise(n * part // parts for part in range(parts + 1))]
    if parts == 1:
        work(slices[0])
        return
    with ThreadPoolExecutor(parts - 1) as threads:
        others = [threads.submit(work, each) for each in slices[1:]]
        work(slices[0])
        for other in others:
            other.result()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
