# SPDX-License-Identifier: Apache-2.0
"""The parts of the live benchmark, one after the other, on one running graph."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from neuralfusion_ros.benchmark.arrivals import delays_ms
from neuralfusion_ros.benchmark.live_measured import Endured, FrameCounts, LiveMeasured, Played, Sustained
from neuralfusion_ros.benchmark.memory_track import MemoryTrack
from neuralfusion_ros.benchmark.process_usage import CpuMeter, resident_bytes
from neuralfusion_ros.commands.live_watcher import BLOCKS, INTEGRATED, MESH, LiveWatcher
from neuralfusion_ros.commands.mapping_graph import FUSION, START_LIMIT_S, TRANSLATOR, MappingGraph, frames_done
from neuralfusion_ros.commands.node_processes import NodeProcesses
from neuralfusion_ros.commands.progress import progress

_NODES = (FUSION, TRANSLATOR)
_SETTLE_S = 3.0
_SHOWN_LIMIT_S = 30.0
# Fewer than wait in the fusion node's queue by default, so that none is dropped; enough that it never has to wait.
_IN_FLIGHT = 3
_LOST_S = 2.0
_MEMORY_PERIOD_S = 1.0


@dataclass(frozen=True)
class LivePlan:
    """frames: to send in a part of the run. rate_hz: of the camera. idle_s: how long to look at idle nodes.

    minutes: to play on at the end, 0 for not at all.
    """

    frames: int
    rate_hz: float
    minutes: float
    idle_s: float = 10.0


class LiveRun:
    """Raises NodeFailure or CommandError as soon as a node fails."""

    def __init__(self, graph: MappingGraph, nodes: NodeProcesses, watcher: LiveWatcher, plan: LivePlan) -> None:
        self._graph, self._nodes, self._watcher, self._plan = graph, nodes, watcher, plan

    def measure(self) -> LiveMeasured:
        """Everything. The nodes are active, and have seen no image yet."""
        self._graph.require(self._watcher.is_connected, START_LIMIT_S, FUSION, "is not connected")
        self._watcher.receive(_SETTLE_S)
        idle_percent = self._idle()
        first_ns, played = self._play()
        triangles_ns = self._watcher.first_triangles_ns
        return LiveMeasured(
            idle_percent=idle_percent,
            first_mesh_s=None if triangles_ns is None else (triangles_ns - first_ns) / 1e9,
            played=played,
            sustained=self._sustain(),
            endured=self._endure() if self._plan.minutes > 0 else None,
        )

    def _idle(self) -> dict[str, float]:
        meters = self._meters()
        with progress("looking at idle nodes", 1) as advance:
            self._watcher.receive(self._plan.idle_s)
            advance()
        return _percents(meters)

    def _play(self) -> tuple[int, Played]:
        """Returns the stamp of the first frame, too."""
        before, meters, begin_s = self._counts(), self._meters(), time.monotonic()
        stamps_ns = []
        with progress("playing", self._plan.frames) as advance:
            for number in self._ticks(self._plan.frames):
                stamps_ns.append(self._watcher.send(number))
                advance()
        sent_per_s = max(1, len(stamps_ns) - 1) / (time.monotonic() - begin_s)
        cpu_percent = _percents(meters)
        self._watcher.wait(lambda: min(self._watcher.newest_ns.values()) >= stamps_ns[-1], _SHOWN_LIMIT_S)
        frames = self._counts_since(before, len(stamps_ns))
        delays = {output: delays_ms(stamps_ns, self._watcher.arrivals[output]) for output in (INTEGRATED, BLOCKS, MESH)}
        return stamps_ns[0], Played(sent_per_s, frames, delays, cpu_percent)

    def _sustain(self) -> Sustained:
        """The next frame is sent as soon as fewer than _IN_FLIGHT wait or are in work."""
        before, meters, watcher = self._counts(), self._meters(), self._watcher
        stamps_ns: list[int] = []

        def in_flight() -> int:
            return len(stamps_ns) - bisect_right(stamps_ns, watcher.newest_ns[INTEGRATED])

        with progress("playing as fast as possible", self._plan.frames) as advance:
            for number in range(self._plan.frames):
                self._nodes.check()
                watcher.wait(lambda: in_flight() < _IN_FLIGHT, _LOST_S)
                stamps_ns.append(watcher.send(number))
                advance()
            watcher.wait(lambda: in_flight() == 0, _LOST_S)
        seconds = (time.time_ns() - stamps_ns[0]) / 1e9
        cpu_percent = _percents(meters)
        frames = self._counts_since(before, len(stamps_ns))
        return Sustained(frames.integrated / seconds, frames, cpu_percent)

    def _endure(self) -> Endured:
        before, memory, begin_s = self._counts(), MemoryTrack(), time.monotonic()
        frames = round(60 * self._plan.minutes * self._plan.rate_hz)
        with progress("playing on", frames) as advance:
            for number in self._ticks(frames):
                self._watcher.send(number)
                advance()
                now_s = time.monotonic() - begin_s
                if not memory.times_s or now_s - memory.times_s[-1] >= _MEMORY_PERIOD_S:
                    memory.add(now_s, {node: resident_bytes(self._nodes.pid(node)) for node in _NODES})
        return Endured(self._counts_since(before, frames), memory)

    def _ticks(self, count: int) -> Iterator[int]:
        """Numbers in the rhythm of the camera; between them the outputs are received."""
        begin_s = time.monotonic()
        for number in range(count):
            self._nodes.check()
            self._watcher.receive(begin_s + number / self._plan.rate_hz - time.monotonic())
            yield number

    def _counts(self) -> dict[str, int]:
        said = self._graph.said(FUSION)
        return {key: int(said.get(key, 0)) for key in ("received", "integrated", "dropped", "rejected")}

    def _counts_since(self, before: dict[str, int], sent: int) -> FrameCounts:
        """Waits until the fusion node has said what became of all frames that it received."""
        old = self._graph.said(FUSION)

        def has_told() -> bool:
            said = self._graph.said(FUSION)
            return said is not old and int(said.get("received", 0)) <= frames_done(said)

        self._graph.require(has_told, _SHOWN_LIMIT_S, FUSION, "has not told what became of the frames")
        now = self._counts()
        integrated, dropped, rejected = (now[key] - before[key] for key in ("integrated", "dropped", "rejected"))
        return FrameCounts(sent, integrated, dropped, rejected)

    def _meters(self) -> dict[str, CpuMeter]:
        return {node: CpuMeter(self._nodes.pid(node)) for node in _NODES}


def _percents(meters: dict[str, CpuMeter]) -> dict[str, float]:
    return {node: meter.percent() for node, meter in meters.items()}
