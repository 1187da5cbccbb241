# SPDX-License-Identifier: Apache-2.0
"""A picture of a mesh as several commands write it: with progress, since a large one takes some seconds."""

from __future__ import annotations

from pathlib import Path

import numpy.typing as npt

from neuralfusion_ros.commands.progress import PATIENCE_S, progress
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.pictures.picture import DRAWING_STEPS, SIZE, render_mesh, save_picture
from neuralfusion_ros.pictures.surface_colours import Paint
from neuralfusion_ros.pictures.viewpoint import FROM_ABOVE, Viewpoint


def draw_mesh(
    path: Path,
    mesh: Mesh,
    up: npt.ArrayLike,
    size: tuple[int, int] = SIZE,
    viewpoint: Viewpoint = FROM_ABOVE,
    paint: Paint | None = None,
    both_sides: bool = False,
) -> None:
    """Draw a mesh with at least one triangle into a PNG file. The rest is as in `render_mesh`."""
    with progress("drawing", DRAWING_STEPS, PATIENCE_S) as advance:
        pixels = render_mesh(mesh, up, size, viewpoint, paint, both_sides, advance)
    save_picture(path, pixels)
