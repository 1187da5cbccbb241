# SPDX-License-Identifier: Apache-2.0
"""The two charts of the live view: milliseconds per frame and bytes of the map over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import viser
from viser import uplot

_KEPT = 900  # a quarter of an hour, as the nodes tell once a second
_AXIS = uplot.Axis(stroke="#c9c9c9", grid=uplot.Axis_Grid(stroke="#444444", width=1))


class Charts:
    """Fed with what the fusion node tells on /diagnostics."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._rows: deque[tuple[float, float, float, float]] = deque(maxlen=_KEPT)
        nothing = np.zeros(0)
        common = {"scales": {"x": uplot.Scale(time=False)}, "axes": (_AXIS, _AXIS), "aspect": 2.6}
        x = uplot.Series(label="s")
        median, late = uplot.Series(label="p50", stroke="#4cc9f0"), uplot.Series(label="p95", stroke="#f08a4c")
        size = uplot.Series(label="MB", stroke="#7bd88f")
        self._time = gui.add_uplot((nothing,) * 3, (x, median, late), title="Time per frame (ms)", **common)
        self._size = gui.add_uplot((nothing,) * 2, (x, size), title="Latent map (MB)", **common)

    def add(self, now_s: float, said: Mapping[str, str]) -> None:
        """said: values of the fusion node. Those of a node that has no map yet are left out."""
        try:
            row = (now_s, float(said["ms_p50"]), float(said["ms_p95"]), float(said["map_bytes"]) / 1e6)
        except (KeyError, ValueError):
            return
        self._rows.append(row)
        seconds, median, late, size = np.array(self._rows).T
        self._time.data = (seconds, median, late)
        self._size.data = (seconds, size)
