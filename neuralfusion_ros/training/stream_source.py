# SPDX-License-Identifier: Apache-2.0
"""Endless streams by seed. Which streams come is planned, so that any process can make any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from neuralfusion_ros.training.sequences import NoisyStream, Tour, random_tour
from neuralfusion_ros.training.settings import DataSettings

_ROOMS_PER_SEED = 1_000_003
_OTHER_ROOM = 1 << 80
_ROOMS_TRIED = 20


@dataclass(frozen=True)
class DataShare:
    """The data of one of several processes that train together: each has rooms and noise of its own."""

    seed: int
    data: DataSettings
    process: int = 0
    processes: int = 1


@dataclass(frozen=True)
class PlannedStream:
    """tour: number of its tour, counted from 1 in the order of first use. room_seed: of that tour.
    noise_seed: of the stream. pool: numbers of the tours that this or a later stream may use.
    """

    tour: int
    room_seed: int
    noise_seed: int
    pool: frozenset[int]


def planned_streams(share: DataShare) -> Iterator[PlannedStream]:
    """All streams in order, without end. A pool of tours grows by one a stream, then is kept fresh."""
    rng = np.random.default_rng([share.seed, 2, share.process])
    pool: list[int] = []
    begun = planned = 0
    while True:
        if len(pool) < share.data.pool:
            begun += 1
            pool.append(begun)
        elif planned % share.data.refresh == 0:
            begun += 1
            pool[int(rng.integers(len(pool)))] = begun
        planned += 1
        tour = pool[int(rng.integers(len(pool)))]
        room = share.seed * _ROOMS_PER_SEED + (tour - 1) * share.processes + share.process + 1
        yield PlannedStream(tour, room, int(rng.integers(1 << 63)), frozenset(pool))


class StreamMaker:
    """Makes planned streams, in their order, and holds the tours that later ones may need."""

    def __init__(self, data: DataSettings) -> None:
        self._data = data
        self._tours: dict[int, Tour] = {}

    def forget(self, planned: PlannedStream) -> None:
        """Drop the tours that neither this nor a later stream uses."""
        self._tours = {number: tour for number, tour in self._tours.items() if number in planned.pool}

    def make(self, planned: PlannedStream) -> NoisyStream:
        """The stream, rendered."""
        self.forget(planned)
        if planned.tour not in self._tours:
            self._tours[planned.tour] = self._tour(planned.room_seed)
        return NoisyStream(self._tours[planned.tour], np.random.default_rng(planned.noise_seed))

    def _tour(self, seed: int) -> Tour:
        """Few rooms are so full that no camera fits in: the next one takes their place."""
        for attempt in range(_ROOMS_TRIED - 1):
            try:
                return random_tour(seed + attempt * _OTHER_ROOM, self._data)
            except ValueError:
                continue
        return random_tour(seed + (_ROOMS_TRIED - 1) * _OTHER_ROOM, self._data)


class StreamSource(Protocol):
    """Hands out the streams of a plan one by one. handed_out: how many, with those of earlier parts of the run."""

    handed_out: int

    def stream(self) -> NoisyStream:
        """The next stream."""

    def close(self) -> None:
        """End all that works for it."""


class LocalSource:
    """Makes every stream when it is asked for. first: number of the first one, from 0."""

    def __init__(self, share: DataShare, first: int = 0) -> None:
        self.handed_out = first
        self._plan = islice(planned_streams(share), first, None)
        self._maker = StreamMaker(share.data)

    def stream(self) -> NoisyStream:
        """The next stream; its noise is made frame by frame."""
        self.handed_out += 1
        return self._maker.make(next(self._plan))

    def close(self) -> None:
        """There is nothing to end."""
