# SPDX-License-Identifier: Apache-2.0
"""The one thread of a node that does the heavy work, so that callbacks can stay short."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Event, Thread
from typing import TypeVar

T = TypeVar("T")

_AFTER_ERROR_S = 0.1  # a step that always fails must not keep a core busy


class Worker:
    """Calls `step` again and again in its own thread, and in between the jobs that other threads hand in.

    step: does a small piece of work and returns the seconds until it wants to be called again; 0 is at once, None is
    not before `wake`. on_error: told about exceptions of `step`; the thread goes on. niceness: how much lower the
    priority of this thread, and of those that torch starts for it, is than that of the process.
    """

    def __init__(
        self, step: Callable[[], float | None], on_error: Callable[[Exception], None], niceness: int = 0
    ) -> None:
        self._step, self._on_error, self._niceness = step, on_error, niceness
        self._jobs: deque[Callable[[], None]] = deque()
        self._condition = Condition()
        self._woken = False
        self.stopping = Event()
        self._thread = Thread(target=self._run, name="worker")

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Lets the present step end and waits for it. Jobs that have not begun are cancelled."""
        self.stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def wake(self) -> None:
        """Has `step` called soon."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Has `job` called once before the next step. The future has its result, its exception, or is cancelled."""
        future: Future[T] = Future()
        with self._condition:
            self._jobs.append(lambda: _carry_out(job, future, cancel=self.stopping.is_set()))
        self.wake()
        return future

    def _run(self) -> None:
        os.nice(self._niceness)  # on Linux of this thread alone
        while not self.stopping.is_set():
            self._do_jobs()
            delay_s = self._guarded_step()
            with self._condition:
                self._condition.wait_for(lambda: self._woken, delay_s)
                self._woken = False
        self._do_jobs()

    def _do_jobs(self) -> None:
        while self._jobs:
            self._jobs.popleft()()

    def _guarded_step(self) -> float | None:
        try:
            return self._step()
        except Exception as error:
            self._on_error(error)
            return _AFTER_ERROR_S


def _carry_out(job: Callable[[], T], future: Future[T], cancel: bool) -> None:
    if cancel:
        future.cancel()
        future.set_running_or_notify_cancel()  # otherwise who waits for it would wait for ever
        return
    try:
        future.set_result(job())
    except Exception as error:
        future.set_exception(error)
