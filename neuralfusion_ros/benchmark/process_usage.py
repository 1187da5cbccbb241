# SPDX-License-Identifier: Apache-2.0
"""What a process takes of the machine, as /proc of Linux tells it."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")
_FIRST_FIELD_AFTER_NAME, _UTIME, _STIME = 3, 14, 15  # numbers of the fields in proc(5)


def is_known() -> bool:
    """Whether this system tells."""
    return (_PROC / "self" / "statm").exists()


def resident_bytes(pid: int) -> int:
    """Memory of the process in RAM, with the shared memory that it has touched. Raises OSError if it is gone."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Processor seconds of all its threads since it began. Raises OSError if it is gone."""
    # The name, in brackets, may hold spaces and brackets.
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(fields[number - _FIRST_FIELD_AFTER_NAME]) for number in (_UTIME, _STIME))
    return ticks / os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """Percent of one core that a process takes from now until asked."""

    def __init__(self, pid: int) -> None:
        self._pid, self._begin_s, self._cpu_s = pid, time.monotonic(), cpu_s(pid)

    def percent(self) -> float:
        """100 is one core; several threads may take more."""
        return 100 * (cpu_s(self._pid) - self._cpu_s) / (time.monotonic() - self._begin_s)
