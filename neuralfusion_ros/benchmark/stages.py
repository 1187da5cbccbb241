# SPDX-License-Identifier: Apache-2.0
"""Times of the stages of a frame."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

PERCENTILES = (50, 95, 99)


class Stages:
    """Milliseconds by stage, one number per frame. device: waited for, so that a GPU's work counts where it belongs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.ms: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Times a block of code as one more frame of the stage."""
        self._wait()
        begin_s = time.perf_counter()
        yield
        self._wait()
        self.ms[stage].append(1000 * (time.perf_counter() - begin_s))

    def percentile(self, stage: str, percentile: float) -> float:
        """Milliseconds that so many percent of the stage's frames did not exceed."""
        return float(np.percentile(self.ms[stage], percentile))

    def summary(self) -> dict[str, dict[str, float]]:
        """p50, p95 and p99 in milliseconds by stage."""
        return {
            stage: {f"p{percentile}": round(self.percentile(stage, percentile), 3) for percentile in PERCENTILES}
            for stage in self.ms
        }

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
