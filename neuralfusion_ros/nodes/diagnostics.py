# SPDX-License-Identifier: Apache-2.0
"""What a node tells about itself on /diagnostics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

_REMEMBERED = 512


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
