# SPDX-License-Identifier: Apache-2.0
"""The worker thread: waking, jobs, errors, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import sys
from concurrent.futures import wait
from threading import Event

import pytest

from neuralfusion_ros.nodes.worker import Worker


@pytest.fixture
def make_worker():
    workers = []

    def make(step=lambda: None, on_error=pytest.fail):
        workers.append(Worker(step, on_error))
        workers[-1].start()
        return workers[-1]

    yield make
    for worker in workers:
        worker.stop()


def test_a_step_is_repeated_as_soon_as_it_wants_to_be(make_worker, wait_until):
    delays = [0.0, 0.01, 0.0]
    calls = []

    def step():
        calls.append(1)
        return delays.pop() if delays else None

    make_worker(step)
    wait_until(lambda: len(calls) == 4)


def test_a_sleeping_worker_is_woken(make_worker, wait_until):
    calls = []
    worker = make_worker(lambda: calls.append(1))
    wait_until(lambda: len(calls) == 1)
    worker.wake()
    wait_until(lambda: len(calls) == 2)


def test_the_result_and_the_error_of_a_job_come_back(make_worker):
    worker = make_worker()
    assert worker.submit(lambda: 7).result(timeout=10) == 7
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(timeout=10)


def test_a_step_that_fails_is_reported_and_tried_again(make_worker, wait_until):
    errors: list[Exception] = []
    make_worker(lambda: 1 // 0, errors.append)
    wait_until(lambda: len(errors) >= 2)
    assert isinstance(errors[0], ZeroDivisionError)


def test_jobs_that_have_not_begun_are_cancelled_at_the_end(make_worker):
    begun, go_on = Event(), Event()

    def job():
        begun.set()
        assert go_on.wait(10)

    worker = make_worker()
    first = worker.submit(job)
    assert begun.wait(10)
    second = worker.submit(pytest.fail)
    worker.stopping.set()
    go_on.set()
    worker.stop()
    assert first.done() and not first.cancelled()
    assert second.cancelled() and second in wait([second], timeout=0).done


def test_a_worker_that_never_started_can_be_stopped():
    Worker(lambda: None, print).stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_niceness_holds_for_the_worker_alone():
    before = os.getpriority(os.PRIO_PROCESS, 0)
    worker = Worker(lambda: None, print, niceness=1)
    worker.start()
    assert worker.submit(lambda: os.getpriority(os.PRIO_PROCESS, 0)).result(timeout=10) == min(before + 1, 19)
    worker.stop()
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
