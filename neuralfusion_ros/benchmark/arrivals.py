# SPDX-License-Identifier: Apache-2.0
"""How long images take until something arrives that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Arrival(NamedTuple):
    """A message. stamp_ns: of the newest image that is all in it and in those before. arrived_ns: when it came, on the
    same clock."""

    stamp_ns: int
    arrived_ns: int


def delays_ms(stamps_ns: Sequence[int], arrivals: Sequence[Arrival]) -> list[float | None]:
    """For each image the milliseconds from its stamp to the first message that is at least as new; None if none came.

    An image that was dropped has the delay of the next one that was used: only then is something as new to be seen.
    arrivals: in the order in which they came.
    """
    if not arrivals:
        return [None] * len(stamps_ns)
    newest_ns = np.maximum.accumulate([arrival.stamp_ns for arrival in arrivals])
    first = np.searchsorted(newest_ns, stamps_ns)
    return [
        (arrivals[number].arrived_ns - stamp_ns) / 1e6 if number < len(arrivals) else None
        for stamp_ns, number in zip(stamps_ns, first.tolist(), strict=True)
    ]


def percentile(delays: Sequence[float | None], percent: float) -> float:
    """Milliseconds that so many percent of the images did not exceed. Images that were never shown count as infinite.

    NaN without images.
    """
    if not delays:
        return float("nan")
    sorted_ms = sorted(float("inf") if delay is None else delay for delay in delays)
    # No interpolation: half way to infinity is infinite.
    return sorted_ms[max(0, int(np.ceil(percent / 100 * len(sorted_ms))) - 1)]
