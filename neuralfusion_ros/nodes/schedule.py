# SPDX-License-Identifier: Apache-2.0
"""When something that repeats at a rate is due."""

from __future__ import annotations

import math
import time

_LATE_PERIODS = 3


class Schedule:
    """Due `rate_hz` times a second of a clock that never jumps; never when the rate is not positive."""

    def __init__(self, rate_hz: float) -> None:
        self.enabled = rate_hz > 0
        self._period_s = 1 / rate_hz if self.enabled else math.inf
        self._next_s = time.monotonic() if self.enabled else math.inf

    def wait_s(self) -> float:
        """Seconds until it is due; 0 when it is."""
        return max(0.0, self._next_s - time.monotonic())

    def is_late(self) -> bool:
        """True when it has been due for some periods."""
        return time.monotonic() > self._next_s + _LATE_PERIODS * self._period_s

    def take(self) -> bool:
        """True when it is due; then it is due again one period from now."""
        if self.wait_s() > 0:
            return False
        self._next_s = time.monotonic() + self._period_s
        return True
