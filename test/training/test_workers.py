# SPDX-License-Identifier: Apache-2.0
"""Streams that other processes make."""

import os
import signal

import numpy as np
import pytest

from neuralfusion_ros.training.settings import DataSettings
from neuralfusion_ros.training.stream_source import DataShare, LocalSource
from neuralfusion_ros.training.workers import WorkerError, WorkerSource, open_source

SHARE = DataShare(3, DataSettings(pool=2, refresh=1, frames=18, image_widths=(64,)))


@pytest.mark.timeout(300)
def test_workers_make_the_same_streams_and_their_end_is_noticed():
    local, first = LocalSource(SHARE, first=2), 2
    workers = WorkerSource(SHARE, first, workers=2)
    try:
        for _ in range(6):
            ours, theirs = workers.stream(), local.stream()
            assert ours.voxel_size_m == theirs.voxel_size_m
            assert np.array_equal(ours.sequence.poses, theirs.sequence.poses)
            for a, b in zip(ours.take(100), theirs.take(100), strict=True):
                assert np.array_equal(a.depth_m, b.depth_m)
                assert np.array_equal(a.T_world_camera, b.T_world_camera)
        assert workers.handed_out == local.handed_out == 8
        for process in workers._processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"worker [01], .* exit code -9"):
            for _ in range(10):  # one or two may be in the pipe
                workers.stream()
    finally:
        workers.close()
    assert not any(process.is_alive() for process in workers._processes)


def test_no_workers_is_this_process():
    source = open_source(SHARE, 0, 0)
    assert isinstance(source, LocalSource)
    source.close()
