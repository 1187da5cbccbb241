# SPDX-License-Identifier: Apache-2.0
"""A room with thin things, seen by a camera, with all that is needed to judge a mesh of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neuralfusion_ros.evaluation.ground_truth import seen_surface
from neuralfusion_ros.evaluation.method import FloatArray, Triangles
from neuralfusion_ros.evaluation.places import Place, plain_camera, rendered
from neuralfusion_ros.evaluation.rooms import clean_views
from neuralfusion_ros.evaluation.surfaces import sample_surface
from neuralfusion_ros.evaluation.thin_scene import ThinItem, camera_circle, thin_items, thin_scene
from neuralfusion_ros.evaluation.thin_scores import ThinScores, thin_scores

_POINTS = 4000


@dataclass(frozen=True, eq=False)
class ThinPlace:
    """things: surfaces of the items. seen: (N, 3) points on each that the clean frames see."""

    place: Place
    items: list[ThinItem]
    things: list[Triangles]
    seen: list[FloatArray]

    def scores(self, mesh: Triangles) -> Iterator[tuple[ThinItem, ThinScores]]:
        """Scores of every thing that some frame saw, in the mesh of a map."""
        for item, thing, seen in zip(self.items, self.things, self.seen, strict=True):
            if len(seen):  # what no frame saw, no map can have
                yield item, thin_scores(mesh, thing, seen, self.place.mesh)


def thin_place(
    thicknesses_mm: Sequence[float], seed: int, frames: int, image_size: tuple[int, int], max_depth_m: float
) -> ThinPlace:
    """The place of a seed, with that many frames on a circle around the things."""
    items = thin_items([thickness / 1000 for thickness in thicknesses_mm], seed)
    poses = list(enumerate(camera_circle(frames)))
    place = rendered(f"thin_{seed}", thin_scene(items), poses, plain_camera(image_size))
    views = clean_views(place, max_depth_m)
    things = [item.mesh() for item in items]
    points = [sample_surface(thing, _POINTS, seed) for thing in things]
    return ThinPlace(place, items, things, [some[seen_surface(some, views)] for some in points])
