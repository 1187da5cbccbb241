# SPDX-License-Identifier: Apache-2.0
"""The options about how a mesh is looked at that several commands have."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.mesh_up import Up, noted_up
from neuralfusion_ros.pictures.viewpoint import FROM_ABOVE, Viewpoint

_UPS: dict[str, Up] = {
    "x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1),
}  # fmt: skip
_SIDE_PX = (16, 8192)


def add_picture_options(parser: argparse.ArgumentParser, size: tuple[int, int]) -> None:
    """Add --azimuth, --elevation, --zoom, --up, --size and --both-sides. size: the default, width and height."""
    options = parser.add_argument_group("how to look at it")
    options.add_argument(
        "--azimuth", metavar="DEG", type=_number(-360, 360),
        help="side to look from, counter-clockwise seen from above, 0 is +x (default: the side that shows most)",
    )  # fmt: skip
    options.add_argument(
        "--elevation", metavar="DEG", type=_number(-89, 89), default=FROM_ABOVE.elevation_deg,
        help="height of the eye above the horizon (default %(default)g)",
    )  # fmt: skip
    options.add_argument(
        "--zoom", metavar="X", type=_number(0.1, 100), default=FROM_ABOVE.zoom, help="(default %(default)g: all of it)"
    )
    add_up_option(options, "as `fuse` and `demo` note in their meshes, else z")
    options.add_argument(
        "--size", metavar="WxH", type=_size, default=size, help=f"pixels (default {size[0]}x{size[1]})"
    )
    options.add_argument(
        "--both-sides", action="store_true",
        help="show triangles from behind too; without it one looks through ceilings and near walls",
    )  # fmt: skip


def add_up_option(options: argparse._ActionsContainer, default: str) -> None:
    """Add --up. default: what is taken without it, for the help."""
    options.add_argument(
        "--up", metavar="AXIS", choices=sorted(_UPS),
        help=f"axis of the world that is about up: x, y, z, or with a minus as --up=-y (default: {default})",
    )  # fmt: skip


def viewpoint(args: argparse.Namespace) -> Viewpoint:
    """What --azimuth, --elevation and --zoom ask for."""
    return Viewpoint(args.azimuth, args.elevation, args.zoom)


def up_axis(args: argparse.Namespace, *meshes: Path) -> Up:
    """The direction that --up names; without it that of the first mesh file that notes one, else z. Raises OSError."""
    if args.up:
        return _UPS[args.up]
    return next((up for path in meshes if (up := noted_up(path))), _UPS["z"])


def nearest_axis(up: npt.ArrayLike) -> str:
    """What --up calls the axis that is nearest to a direction (3,)."""
    return max(_UPS, key=lambda name: float(np.dot(_UPS[name], up)))


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a number in {low:g}..{high:g}, got {text}")
        return value

    return parse


def _size(text: str) -> tuple[int, int]:
    low, high = _SIDE_PX
    words = text.split("x")
    if len(words) != 2 or not all(word.isdecimal() and low <= int(word) <= high for word in words):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT of {low} to {high} pixels each, got {text}")
    return int(words[0]), int(words[1])
