# SPDX-License-Identifier: Apache-2.0
"""The gate for everything that comes in: what cannot be used is counted and logged, never raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from traceback import extract_tb
from typing import Any

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.nodes.throttled_log import ThrottledLog


class Rejections:
    """Counts rejected input by reason, with one log line per reason every few seconds. Safe from any thread."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._throttled = ThrottledLog(logger)
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._known_errors: set[str] = set()
        self._last_of: dict[str, str] = {}
        self.last = ""

    @property
    def counts(self) -> Counter[str]:
        """Reason -> number."""
        with self._lock:
            return Counter(self._counts)

    def reject(self, reason: str, detail: str, source: str = "") -> None:
        """Counts one thing that cannot be used. detail: a sentence for the log. source: what sent it, if there are
        several."""
        text = f"{source}: {detail}" if source else detail
        with self._lock:
            self._counts[reason] += 1
            self.last = self._last_of[source] = f"{reason}: {text}"
        self._throttled.warn(reason, f"rejected, {reason}: {text}")

    def last_of(self, source: str) -> str:
        """The last thing rejected of this source, or nothing."""
        with self._lock:
            return self._last_of.get(source, "")

    def unexpected(self, error: Exception) -> None:
        """Counts an error that nobody foresaw as 'internal'. Each kind is logged once."""
        place = extract_tb(error.__traceback__)[-1:]
        where = f"{place[0].filename}:{place[0].lineno}" if place else "unknown place"
        kind = f"{type(error).__name__} in {where}"
        with self._lock:
            self._counts["internal"] += 1
            self.last = f"internal: {kind}"
            known = kind in self._known_errors
            self._known_errors.add(kind)
        if not known:
            text = " ".join(str(error).split())
            self._logger.error(f"internal error, the node goes on: {kind}: {text} (not logged again)")

    @contextmanager
    def gate(self, source: str = "") -> Iterator[None]:
        """Turns exceptions of the block into counts."""
        try:
            yield
        except BadMessage as error:
            self.reject(error.reason, error.detail, source)
        except Exception as error:
            self.unexpected(error)
