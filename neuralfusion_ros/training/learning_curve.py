# SPDX-License-Identifier: Apache-2.0
"""The loss over the course of a run, as a table and as a picture."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from neuralfusion_ros.mapping.new_file import new_file

_SMOOTH_ROWS = 10


@dataclass(frozen=True)
class CurveRow:
    """loss: mean over the steps since the row before. minutes: of the run so far."""

    step: int
    minutes: float
    loss: float


class LearningCurve:
    """Collects the losses of single steps into rows."""

    def __init__(self, rows: list[CurveRow] | None = None) -> None:
        self.rows = list(rows or [])
        self._recent: list[float] = []

    def add(self, loss: float) -> None:
        """The loss of one more step."""
        self._recent.append(loss)

    def end_row(self, step: int, minutes: float) -> None:
        """Make a row of the steps since the last one, if there are any."""
        if self._recent:
            mean = sum(self._recent) / len(self._recent)
            self.rows.append(CurveRow(step, round(minutes, 2), round(mean, 5)))
            self._recent.clear()

    def write_table(self, path: Path) -> None:
        """Writes the rows as CSV: step, minutes, loss."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(("step", "minutes", "loss"))
        writer.writerows((row.step, f"{row.minutes:.2f}", f"{row.loss:.5f}") for row in self.rows)
        with new_file(path) as aside:
            aside.write_bytes(text.getvalue().encode())

    def draw(self, path: Path) -> None:
        """Writes a PNG of the loss over the steps, and its running mean."""
        # Not pyplot, which would look for a display. Loaded late: it takes a second that no other command needs.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
        axes = figure.add_subplot(xlabel="step", ylabel="loss", title="Learning curve")
        steps, losses = [row.step for row in self.rows], [row.loss for row in self.rows]
        axes.plot(steps, losses, ".-", color="0.75", label="mean since the point before")
        axes.plot(steps, _running_mean(losses), color="tab:blue", label=f"mean of the last {_SMOOTH_ROWS} points")
        axes.grid(alpha=0.3)
        axes.legend()
        with new_file(path) as aside:
            figure.savefig(aside, format="png")


def _running_mean(values: list[float]) -> list[float]:
    windows = [values[max(0, end - _SMOOTH_ROWS) : end] for end in range(1, len(values) + 1)]
    return [sum(window) / len(window) for window in windows]
