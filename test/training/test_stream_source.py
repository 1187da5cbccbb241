# SPDX-License-Identifier: Apache-2.0
"""Which streams come, and in which order: everything follows from the seed."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from neuralfusion_ros.training import stream_source
from neuralfusion_ros.training.sequences import NoisyStream, Tour
from neuralfusion_ros.training.settings import DataSettings
from neuralfusion_ros.training.stream_source import DataShare, LocalSource, StreamMaker, planned_streams


def assert_same_stream(a: NoisyStream, b: NoisyStream) -> None:
    assert a.voxel_size_m == b.voxel_size_m
    for ours, theirs in zip(a.take(1000), b.take(1000), strict=True):
        assert np.array_equal(ours.depth_m, theirs.depth_m)
        assert np.array_equal(ours.T_world_camera, theirs.T_world_camera)


@pytest.fixture
def rendered_seeds(monkeypatch, wall_tour) -> list[int]:
    """Sources take a small recording at no cost; the seeds that they asked for."""
    seeds: list[int] = []

    def fake(seed: int, data: DataSettings) -> Tour:
        seeds.append(seed)
        return replace(wall_tour)

    monkeypatch.setattr(stream_source, "random_tour", fake)
    return seeds


def source(seed: int, first: int = 0, pool: int = 3, refresh: int = 2) -> LocalSource:
    return LocalSource(DataShare(seed, DataSettings(pool, refresh)), first)


def test_same_seed_gives_the_same_streams(rendered_seeds):
    first = source(7)
    streams = [first.stream() for _ in range(5)]
    wanted = list(rendered_seeds)
    second = source(7)
    for stream in streams:
        assert_same_stream(stream, second.stream())
    assert rendered_seeds == wanted * 2
    third = source(8)
    assert third.stream().voxel_size_m != streams[0].voxel_size_m
    assert rendered_seeds[-1] not in wanted


def test_a_source_may_begin_anywhere(rendered_seeds):
    whole = source(7)
    streams = [whole.stream() for _ in range(12)]
    assert whole.handed_out == 12
    late = source(7, first=9)
    for stream in streams[9:]:
        assert_same_stream(stream, late.stream())
    assert late.handed_out == 12


def test_pool_grows_then_is_refreshed():
    plan = list(islice(planned_streams(DataShare(1, DataSettings(pool=4, refresh=3))), 40))
    assert [len(planned.pool) for planned in plan[:5]] == [1, 2, 3, 4, 4]
    assert max(plan[15].pool) == 4 + 4  # one every three streams from the fourth on
    assert all(planned.tour in planned.pool for planned in plan)
    rooms = {planned.tour: planned.room_seed for planned in plan}
    assert len(set(rooms.values())) == len(rooms)
    assert len({planned.noise_seed for planned in plan}) == len(plan)


def test_processes_have_rooms_and_noise_of_their_own():
    plans = [list(islice(planned_streams(DataShare(1, DataSettings(), p, 3)), 100)) for p in range(3)]
    for what in ("room_seed", "noise_seed"):
        seen = [{getattr(planned, what) for planned in plan} for plan in plans]
        assert len(set.union(*seen)) == sum(map(len, seen))


def test_one_process_of_many_is_not_the_run_of_one():
    """A single process has the data that the same seed gave before there were several."""
    alone = next(planned_streams(DataShare(5, DataSettings())))
    assert alone.room_seed == 5 * 1_000_003 + 1
    assert next(planned_streams(DataShare(5, DataSettings(), 0, 2))).noise_seed == alone.noise_seed


def test_only_tours_in_the_pool_are_held(rendered_seeds):
    maker = StreamMaker(DataSettings())
    for planned in islice(planned_streams(DataShare(1, DataSettings(pool=2, refresh=1))), 30):
        maker.make(planned)
        assert set(maker._tours) <= planned.pool


def test_a_room_without_a_place_for_the_camera_is_replaced(monkeypatch, wall_tour):
    asked: list[int] = []

    def full(seed: int, data: DataSettings) -> Tour:
        asked.append(seed)
        if len(asked) < 3:
            raise ValueError("the room has no free place for a camera")
        return replace(wall_tour)

    monkeypatch.setattr(stream_source, "random_tour", full)
    assert len(source(1).stream().take(2)) == 2
    assert len(set(asked)) == 3
    monkeypatch.setattr(stream_source, "random_tour", lambda seed, data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        source(1).stream()
