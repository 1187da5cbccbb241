# SPDX-License-Identifier: Apache-2.0
"""Simulated time that stands still: the simulation or the recording is paused, or nobody publishes /clock."""

from __future__ import annotations

import time

from rclpy.clock import ROSClock

_PATIENCE_S = 2.0


class StillClock:
    """To be asked again and again, more often than every two seconds."""

    def __init__(self, clock: ROSClock) -> None:
        self._clock = clock
        self._last_ns, self._since_s = -1, time.monotonic()

    def problem(self) -> str:
        """One sentence when simulated time has not moved for two seconds; empty otherwise and without use_sim_time."""
        now_ns, now_s = self._clock.now().nanoseconds, time.monotonic()
        if not self._clock.ros_time_is_active or now_ns != self._last_ns:
            self._last_ns, self._since_s = now_ns, now_s
        still_s = now_s - self._since_s
        if still_s < _PATIENCE_S:
            return ""
        if now_ns == 0:
            return "use_sim_time is set, but no message on /clock yet"
        return f"/clock stands still: paused for {still_s:.0f} s at {now_ns / 1e9:.3f} s of simulated time"
