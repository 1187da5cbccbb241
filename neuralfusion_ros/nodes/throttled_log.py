# SPDX-License-Identifier: Apache-2.0
"""Log lines about things that may happen thirty times a second."""

from __future__ import annotations

import time
from threading import Lock
from typing import Any


class ThrottledLog:
    """Passes on at most one warning per key and period, and says how many were left out. Safe from any thread."""

    def __init__(self, logger: Any, period_s: float = 5.0) -> None:
        self._logger, self._period_s = logger, period_s
        self._lock = Lock()
        self._last_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(self, key: str, text: str) -> None:
        """A warning, unless one with the same key was logged less than one period ago."""
        with self._lock:
            now = time.monotonic()
            if now - self._last_s.get(key, -self._period_s) < self._period_s:
                self._left_out[key] = self._left_out.get(key, 0) + 1
                return
            self._last_s[key] = now
            more = self._left_out.pop(key, 0)
        self._logger.warning(f"{text} ({more} more since the last such line)" if more else text)
