# SPDX-License-Identifier: Apache-2.0
"""The queue between the callbacks of a node and its worker thread."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """First in, first out, never longer than `max_length`. Safe to use from several threads; nothing blocks."""

    def __init__(self, max_length: int) -> None:
        if max_length < 1:
            raise ValueError(f"a queue needs room for at least one item, got {max_length}")
        self._max_length = max_length
        self._items: deque[T] = deque()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> T | None:
        """Adds an item. Returns the oldest one when it had to be dropped to make room."""
        with self._lock:
            self._items.append(item)
            return self._items.popleft() if len(self._items) > self._max_length else None

    def oldest(self) -> T | None:
        """The oldest item, which stays in the queue; None when there is none."""
        with self._lock:
            return self._items[0] if self._items else None

    def remove(self, item: T) -> bool:
        """Takes `item` out if it is still the oldest one; False when it was dropped in the meantime."""
        with self._lock:
            if not self._items or self._items[0] is not item:
                return False
            self._items.popleft()
            return True

    def take_all(self) -> list[T]:
        """Empties the queue; the oldest item is the first of the list."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
            return items
