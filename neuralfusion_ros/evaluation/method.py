# SPDX-License-Identifier: Apache-2.0
"""What the evaluation asks of a way to fuse depth, learned or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


class Triangles(NamedTuple):
    """A mesh. vertices: (V, 3) metres in the world. triangles: (T, 3) rows of vertices."""

    vertices: FloatArray
    triangles: npt.NDArray[np.integer]


class FusedMap(Protocol):
    """A finished map that can be measured."""

    name: str

    def query(self, centres: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Signed distance in metres and whether the map knows it, both (N,), at (N, 3) voxel centres.

        The distance is positive in free space and clipped to the truncation of the method. Where the map knows
        nothing the distance has no meaning.
        """
        ...

    def mesh(self) -> Triangles:
        """The surface of the map; empty where there is none."""
        ...


class FusionMethod(Protocol):
    """Fuses frames once. One fusion may be read in several ways, for example with several weight thresholds."""

    name: str

    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        """Adds one frame. Depth 0 is no measurement."""
        ...

    def maps(self) -> Iterable[FusedMap]:
        """The readings of what was fused so far; best numbers of a baseline are taken over all of them."""
        ...


def empty_mesh() -> Triangles:
    """A mesh without triangles."""
    return Triangles(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
