# SPDX-License-Identifier: Apache-2.0
"""Kernels run without the interpreter's lock, so plain threads share their work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Does all of 0..n in parts of at least `least` side by side, at most as many as torch has threads."""
    parts = max(1, min(torch.get_num_threads(), n // least))
    bounds = [n * part // parts for part in range(parts + 1)]
    slices = [slice(*ends) for ends in pairwise(bounds)]
    if parts == 1:
        work(slices[0])
        return
    with ThreadPoolExecutor(parts - 1) as threads:
        others = [threads.submit(work, each) for each in slices[1:]]
        work(slices[0])
        for other in others:
            other.result()
