# SPDX-License-Identifier: Apache-2.0
"""Resident memory over time, and how fast it grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

WARM_UP_S = 60.0


@dataclass
class MemoryTrack:
    """times_s: since the beginning. resident_bytes: node -> memory at these times."""

    times_s: list[float] = field(default_factory=list)
    resident_bytes: dict[str, list[int]] = field(default_factory=dict)

    def add(self, time_s: float, resident: Mapping[str, int]) -> None:
        """Notes the memory of every node at one moment."""
        self.times_s.append(time_s)
        for node, count in resident.items():
            self.resident_bytes.setdefault(node, []).append(count)

    @property
    def nodes(self) -> Iterable[str]:
        """Names of the nodes."""
        return self.resident_bytes.keys()

    def growth_mb_per_minute(self, node: str) -> float:
        """Slope of the straight line that fits best after the first minute, in megabytes (10^6); NaN if there is none.

        In the first minute buffers fill.
        """
        times_s, resident = np.array(self.times_s), np.array(self.resident_bytes[node])
        late = times_s >= WARM_UP_S
        if np.count_nonzero(late) < 2:
            return float("nan")
        slope = np.polynomial.Polynomial.fit(times_s[late], resident[late], 1).convert().coef[1]
        return float(60 * slope / 1e6)
