# SPDX-License-Identifier: Apache-2.0
"""Figures of matplotlib as PNG files that are small enough for a repository."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from neuralfusion_ros.mapping.new_file import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 100
_COLOURS = 256


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file of 256 colours, aside and then renamed: a third of the size, and it looks alike."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font does not have becomes a box, which is no reason to disturb anybody.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    drawn.seek(0)
    picture = Image.open(drawn).convert("RGB")
    # The colours of small things, such as a colour bar, must not fall out of the palette.
    palette = picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
    small = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    with new_file(path) as aside:
        small.save(aside, format="PNG", optimize=True)
