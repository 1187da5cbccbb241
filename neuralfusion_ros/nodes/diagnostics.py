# SPDX-License-Identifier: Apache-2.0
"""What a node tells about itself on /diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

_REMEMBERED = 512
_RATE_WINDOW_S = 5.0


class Durations:
    """The latest durations of something, in milliseconds. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._ms: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        """Remembers one duration."""
        self._ms.append(1000 * seconds)

    def percentile(self, percent: float) -> float:
        """Milliseconds within which that share was done; 0 when there is none yet."""
        ms = list(self._ms)
        return round(float(np.percentile(ms, percent)), 1) if ms else 0.0


class Rate:
    """How often something happens, from a count that is looked at now and then. For one thread."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, count: int) -> float:
        """Times per second in the last few seconds; 0 when it is looked at for the first time."""
        now_s = time.monotonic()
        self._seen.append((now_s, count))
        while len(self._seen) > 2 and self._seen[1][0] < now_s - _RATE_WINDOW_S:
            self._seen.popleft()
        first_s, first = self._seen[0]
        return round((count - first) / (now_s - first_s), 1) if now_s > first_s else 0.0


@dataclass
class Report:
    """One node's state. problem: one line that says what is wrong, or nothing. values: shown as key and value."""

    problem: str = ""
    is_error: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def diagnostic_array(node_name: str, full_name: str, stamp: Time, report: Report) -> DiagnosticArray:
    """The message with the one status of a node. full_name: with the namespace, to tell robots apart."""
    level = DiagnosticStatus.OK
    if report.problem:
        level = DiagnosticStatus.ERROR if report.is_error else DiagnosticStatus.WARN
    status = DiagnosticStatus(level=level, name=node_name, message=report.problem or "ok", hardware_id=full_name)
    status.values = [KeyValue(key=key, value=str(value)) for key, value in report.values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message
