# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as a wish to stop at the next good moment."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType, TracebackType

_SAME_CTRL_C_S = 2.0
"""torchrun passes on a Ctrl-C that the terminal has already sent to all its processes."""


class StopSignals:
    """While in its context a signal only sets `received`; only a second Ctrl-C ends the process at once."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received = False
        self._first_ctrl_c_s = math.inf

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._receive) for number in self._SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if number == signal.SIGINT:
            now_s = time.monotonic()
            if now_s - self._first_ctrl_c_s > _SAME_CTRL_C_S:
                raise KeyboardInterrupt
            self._first_ctrl_c_s = min(self._first_ctrl_c_s, now_s)
