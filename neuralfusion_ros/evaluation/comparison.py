# SPDX-License-Identifier: Apache-2.0
"""Meshes of the same place side by side, seen in the same way, coloured by their distance to a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.evaluation.ground_truth import SAMPLES
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.metrics import MeshScores, inside_box, mesh_scores
from neuralfusion_ros.evaluation.surfaces import distance_function, sample_surface
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.pictures import front_faces
from neuralfusion_ros.pictures.picture import Scene, draw
from neuralfusion_ros.pictures.surface_colours import by_distance, by_height
from neuralfusion_ros.pictures.viewpoint import FROM_ABOVE, Viewpoint, choose_view, levelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_SIZE = (640, 560)
LIMIT_M = 0.05


@dataclass(frozen=True)
class Look:
    """How meshes are compared by eye. up: about upwards in the world. size: of each panel, width and height.

    limit_m: distance from which on all distances have the same colour.
    """

    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    size: tuple[int, int] = PANEL_SIZE
    viewpoint: Viewpoint = FROM_ABOVE
    both_sides: bool = False
    limit_m: float = LIMIT_M


def reference_scores(meshes: Sequence[Mesh], reference: Mesh, samples: int = SAMPLES) -> list[MeshScores]:
    """How far each mesh is from the reference and the reference, all of it, from the mesh."""
    truth = _triangles(reference)
    surface = sample_surface(truth, samples, seed=0)
    return [mesh_scores(_triangles(mesh), truth, surface) for mesh in meshes]


def comparison_figure(
    names: Sequence[str],
    meshes: Sequence[Mesh],
    look: Look,
    reference: Mesh | None = None,
    scores: Sequence[MeshScores] = (),
    on_panel: Callable[[], None] = lambda: None,
) -> Figure:
    """The meshes from one viewpoint that suits all, coloured by height.

    With a reference they are coloured by their distance to it, and what lies outside its bounding box, where the scores
    do not look either, is left out. scores: written below the meshes. on_panel: called when one of them is drawn.
    """
    # It takes a second, and most of who asks for scores wants no picture.
    from neuralfusion_ros.pictures.side_by_side import Panel, side_by_side

    if reference is not None:
        meshes = [_cropped(mesh, reference) for mesh in meshes]
    drawn = [front_faces.Triangles(mesh.vertices, mesh.triangles) for mesh in meshes]
    together = _together(meshes)
    up = levelled(together, look.up)
    view = choose_view(together, up, look.size[0] / look.size[1], look.viewpoint)
    scene = Scene(view, up, look.size, look.both_sides)
    if reference is None:
        paint = by_height(together, up)
    else:
        paint = by_distance(distance_function(_triangles(reference)), look.limit_m)
    lines = [score_lines(score) for score in scores] or [()] * len(drawn)
    panels = []
    for name, mesh, text in zip(names, drawn, lines, strict=True):
        panels.append(Panel(name, draw(mesh, scene, paint), text))
        on_panel()
    return side_by_side(panels, look.limit_m if reference is not None else None)


def score_lines(scores: MeshScores) -> tuple[str, ...]:
    """The numbers as they stand below a picture."""
    return (
        f"accuracy {scores.accuracy_mm:.1f} mm,  completeness {scores.completeness_mm:.1f} mm",
        f"F-score  {scores.f1cm:.3f} at 1 cm,  {scores.f2cm:.3f} at 2 cm,  {scores.f5cm:.3f} at 5 cm",
    )


def _together(meshes: Sequence[Mesh]) -> front_faces.Triangles:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    triangles = [mesh.triangles.astype(np.int64) + start for mesh, start in zip(meshes, starts, strict=False)]
    return front_faces.Triangles(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(triangles))


def share_outside(mesh: Mesh, reference: Mesh) -> float:
    """Share of the mesh's triangles that lie where the scores do not look; 0 without triangles."""
    return float(np.mean(~_inside(mesh, reference))) if len(mesh.triangles) else 0.0


def _cropped(mesh: Mesh, around: Mesh) -> Mesh:
    """The triangles whose corners all lie where the scores look; the mesh as it is if there are none."""
    inside = _inside(mesh, around)
    return Mesh(mesh.vertices, mesh.triangles[inside]) if inside.any() else mesh


def _inside(mesh: Mesh, around: Mesh) -> npt.NDArray[np.bool_]:
    """(T,) whether all corners of a triangle lie where the scores look."""
    return np.all(inside_box(mesh.vertices, around.vertices)[mesh.triangles], axis=1)


def _triangles(mesh: Mesh) -> Triangles:
    return Triangles(mesh.vertices, mesh.triangles)
