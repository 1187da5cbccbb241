# SPDX-License-Identifier: Apache-2.0
"""Streams made ahead by other processes, the same ones in the same order as without them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.sequences import NoisyStream
from neuralfusion_ros.training.stream_source import DataShare, LocalSource, StreamMaker, StreamSource, planned_streams

_AHEAD = 8
"""Streams that wait in each worker; one takes up to 120 MB."""


class WorkerError(TrainingError):
    """A worker has ended. The message is one line."""


class WorkerSource:
    """The streams of a plan, made by `workers` processes. Each renders the tours whose number falls to it.

    first: number of the first stream, from 0.
    """

    def __init__(self, share: DataShare, first: int, workers: int) -> None:
        self.handed_out = first
        self._plan = islice(planned_streams(share), first, None)
        # A fork would copy the state of torch's threads and of the GPU, but not the threads.
        context = multiprocessing.get_context("spawn")
        self._processes: list[BaseProcess] = []
        self._readers: list[Connection] = []
        for worker in range(workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(share, first, worker, workers, writer), daemon=True)
            process.start()
            writer.close()  # so that the end of the worker is the end of the pipe
            self._processes.append(process)
            self._readers.append(reader)

    def stream(self) -> NoisyStream:
        """The next stream; waits until it is made. Raises WorkerError when its worker has ended."""
        worker = next(self._plan).tour % len(self._readers)
        try:
            stream = self._readers[worker].recv()
        except (EOFError, OSError) as error:
            self._processes[worker].join(timeout=5)
            code = self._processes[worker].exitcode
            raise WorkerError(f"worker {worker}, which makes training data, has ended with exit code {code}") from error
        assert isinstance(stream, NoisyStream)
        self.handed_out += 1
        return stream

    def close(self) -> None:
        """End the workers."""
        for reader in self._readers:
            reader.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()


def open_source(share: DataShare, first: int, workers: int) -> StreamSource:
    """The streams of the plan from number `first` on, made by so many workers; 0: by this process."""
    return WorkerSource(share, first, workers) if workers else LocalSource(share, first)


def _work(share: DataShare, first: int, worker: int, workers: int, writer: Connection) -> None:
    """The life of a worker: make the streams that fall to it, in order, a few ahead of what is wanted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which ends its workers
    ready: queue.Queue[NoisyStream] = queue.Queue(_AHEAD)
    threading.Thread(target=_send, args=(ready, writer), daemon=True).start()
    maker = StreamMaker(share.data)
    for planned in islice(planned_streams(share), first, None):
        if planned.tour % workers == worker:
            ready.put(maker.make(planned).prepared())
        else:
            maker.forget(planned)


def _send(ready: queue.Queue[NoisyStream], writer: Connection) -> None:
    """Hand over streams until nobody reads them: then the trainer is gone, and this worker must not stay behind."""
    with suppress(OSError):
        while True:
            writer.send(ready.get())
    os._exit(0)
