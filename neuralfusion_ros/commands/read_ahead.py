# SPDX-License-Identifier: Apache-2.0
"""Reading the next frames while the present one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


def read_ahead(items: Iterable[T], count: int = 4) -> Iterator[T]:
    """The items in their order, taken by a second thread up to `count` ahead. Its errors are raised here."""
    source = iter(items)
    reader = ThreadPoolExecutor(1, thread_name_prefix="read_ahead")
    try:
        waiting = deque(reader.submit(next, source, _END) for _ in range(count))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(reader.submit(next, source, _END))
            yield item  # type: ignore[misc]
    finally:
        reader.shutdown(cancel_futures=True)
