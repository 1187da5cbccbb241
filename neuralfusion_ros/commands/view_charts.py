# SPDX-License-Identifier: Apache-2.0
"""The two charts of the live view: milliseconds per frame and bytes of the map over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import viser
from viser import uplot

Doubles = npt.NDArray[np.float64]

_KEPT = 900  # a quarter of an hour, as the nodes tell once a second


class Charts:
    """Fed with what the fusion node tells on /diagnostics."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._gui, self._folder = gui, gui.add_folder("Over time")
        self._rows: deque[tuple[float, float, float, float]] = deque(maxlen=_KEPT)
        self._charts: tuple[Any, Any] | None = None

    def add(self, now_s: float, said: Mapping[str, str]) -> None:
        """said: values of the fusion node. Those of a node that has no map yet are left out."""
        try:
            row = (now_s, float(said["ms_p50"]), float(said["ms_p95"]), float(said["map_bytes"]) / 1e6)
        except (KeyError, ValueError):
            return
        self._rows.append(row)
        # A chart that began with less than a stretch of time would never find its scale.
        if len(self._rows) < 2:
            return
        seconds, median, late, size = (np.array(column) for column in zip(*self._rows, strict=True))
        if self._charts is None:
            self._charts = self._make((seconds, median, late), (seconds, size))
        self._charts[0].data, self._charts[1].data = (seconds, median, late), (seconds, size)

    def _make(self, times: tuple[Doubles, ...], sizes: tuple[Doubles, ...]) -> tuple[Any, Any]:
        x, size = uplot.Series(label="s"), uplot.Series(label="MB", stroke="#7bd88f")
        median, late = uplot.Series(label="p50", stroke="#4cc9f0"), uplot.Series(label="p95", stroke="#f08a4c")
        look: dict[str, Any] = {"scales": {"x": uplot.Scale(time=False)}, "aspect": 2.6}
        look["padding"] = (10, 24, 0, 0)  # without, the highest number is cut in half
        with self._folder:
            return (
                self._gui.add_uplot(times, (x, median, late), title="Time per frame (ms)", **look),
                self._gui.add_uplot(sizes, (x, size), title="Latent map (MB)", **look),
            )
