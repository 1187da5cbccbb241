# SPDX-License-Identifier: Apache-2.0
"""Several pictures of the same size in one, with titles, lines of text and a bar that explains the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from neuralfusion_ros.pictures.figure_file import DOTS_PER_INCH
from neuralfusion_ros.pictures.picture import BACKGROUND, Pixels
from neuralfusion_ros.pictures.surface_colours import distance_colours

_MOST_COLUMNS = 3
# Heights and widths in pixels for panels of _USUAL_WIDTH; all grow with the panels.
_USUAL_WIDTH = 640
_TITLE, _LINE, _GAP, _BAR, _BAR_WIDTH = 44, 26, 12, 76, 420
_TITLE_POINTS, _TEXT_POINTS = 14.0, 11.0
_LETTERS = 60
_STEPS = 256


@dataclass(frozen=True)
class Panel:
    """One picture, (H, W, 3), with what stands above and below it."""

    title: str
    pixels: Pixels
    lines: Sequence[str] = ()


def side_by_side(panels: Sequence[Panel], limit_m: float | None = None) -> Figure:
    """All panels, up to three in a row. limit_m: distance at the end of the colour bar; no bar if None."""
    height, width = panels[0].pixels.shape[:2]
    scale = width / _USUAL_WIDTH
    title, line, gap, bar = (round(scale * length) for length in (_TITLE, _LINE, _GAP, _BAR))
    columns = 2 if len(panels) == 4 else min(len(panels), _MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    row_height = title + height + line * max(len(panel.lines) for panel in panels) + gap
    sheet = _Sheet(columns * (width + gap) + gap, rows * row_height + gap + (bar if limit_m else 0), scale)
    for number, panel in enumerate(panels):
        left, top = gap + number % columns * (width + gap), number // columns * row_height
        middle = left + width / 2
        sheet.text(middle, top + 0.6 * title, _short(panel.title), _TITLE_POINTS)
        sheet.image(left, top + title, panel.pixels)
        for count, text in enumerate(panel.lines):
            sheet.text(middle, top + title + height + (count + 0.5) * line, text, _TEXT_POINTS)
    if limit_m:
        sheet.bar(rows * row_height + 0.1 * bar, limit_m)
    return sheet.figure


class _Sheet:
    """A figure on which things are placed by pixels from the left and the top."""

    def __init__(self, width: int, height: int, scale: float) -> None:
        self.figure = Figure(
            (width / DOTS_PER_INCH, height / DOTS_PER_INCH), DOTS_PER_INCH, facecolor=tuple(BACKGROUND.tolist())
        )
        self._width, self._height, self._scale = width, height, scale

    def text(self, x: float, y: float, text: str, points: float) -> None:
        """One line, centred there."""
        at = (x / self._width, 1 - y / self._height)
        self.figure.text(*at, text, size=points * self._scale, ha="center", va="center", parse_math=False)

    def image(self, left: int, top: int, pixels: Pixels) -> None:
        """The picture, pixel by pixel."""
        height, width = pixels.shape[:2]
        axes = self.figure.add_axes(self._box(left, top, width, height))
        axes.imshow(pixels, interpolation="nearest", aspect="auto")
        axes.set_axis_off()

    def bar(self, top: float, limit_m: float) -> None:
        """Which colour stands for which distance, in centimetres."""
        width, height = min(_BAR_WIDTH * self._scale, 0.9 * self._width), 14 * self._scale
        axes = self.figure.add_axes(self._box((self._width - width) / 2, top, width, height))
        colours = ListedColormap(distance_colours(np.linspace(0, 1, _STEPS)))
        values = ScalarMappable(Normalize(0, 100 * limit_m), colours)
        bar = self.figure.colorbar(values, cax=axes, orientation="horizontal", extend="max")
        bar.set_label("distance to the reference [cm]", size=_TEXT_POINTS * self._scale)
        bar.ax.tick_params(labelsize=0.9 * _TEXT_POINTS * self._scale)

    def _box(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Left, bottom, width and height as shares of the figure."""
        bottom = self._height - top - height
        return left / self._width, bottom / self._height, width / self._width, height / self._height


def _short(title: str) -> str:
    """The title, without its middle if it is too long for a panel."""
    half = _LETTERS // 2
    return title if len(title) <= _LETTERS else f"{title[:half]}...{title[-half:]}"
