# SPDX-License-Identifier: Apache-2.0
"""What the live benchmark has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from neuralfusion_ros.benchmark.memory_track import MemoryTrack


class FrameCounts(NamedTuple):
    """What became of the frames of one part of the run. lost: sent, but the fusion node never saw them."""

    sent: int
    integrated: int
    dropped: int
    rejected: int

    @property
    def lost(self) -> int:
        """Frames on the way from the camera that never came."""
        return self.sent - self.integrated - self.dropped - self.rejected


@dataclass(frozen=True)
class Played:
    """The recording played at a rate. sent_per_s: the rate that was reached. delays_ms: output -> by frame; None for
    a frame that was never shown. cpu_percent: node -> of one core."""

    sent_per_s: float
    frames: FrameCounts
    delays_ms: Mapping[str, Sequence[float | None]]
    cpu_percent: Mapping[str, float]


@dataclass(frozen=True)
class Sustained:
    """The recording played as fast as the fusion node takes it. cpu_percent: node -> of one core."""

    frames_per_s: float
    frames: FrameCounts
    cpu_percent: Mapping[str, float]


@dataclass(frozen=True)
class Endured:
    """The recording played for minutes. memory: of both nodes."""

    frames: FrameCounts
    memory: MemoryTrack


@dataclass(frozen=True)
class LiveMeasured:
    """Everything of one run. idle_percent: node -> CPU of one core while nobody publishes.

    first_mesh_s: from the first image to the first triangles; None if none came.
    """

    idle_percent: Mapping[str, float]
    first_mesh_s: float | None
    played: Played
    sustained: Sustained
    endured: Endured | None
