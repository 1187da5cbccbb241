# SPDX-License-Identifier: Apache-2.0
"""One picture of the learned map beside the best plain TSDF, from the same noisy frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from neuralfusion_ros.evaluation.baselines import open3d_baselines
from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.comparison import LIMIT_M, Look, comparison_figure, reference_scores
from neuralfusion_ros.evaluation.experiment import ExperimentError, Inputs, Page, figure_link, one_of, setting
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.method import FusionMethod, Triangles
from neuralfusion_ros.evaluation.metrics import MeshScores
from neuralfusion_ros.evaluation.places import Place
from neuralfusion_ros.evaluation.rooms import clean_views, noisy_frames
from neuralfusion_ros.evaluation.score_columns import MESH_COLUMNS, NOISE_TEXT
from neuralfusion_ros.evaluation.seen_mesh import seen_mesh
from neuralfusion_ros.evaluation.tables import score_table
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.training.sensor_families import LEVELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT = f"""The same frames, with noise of level {{level}}, were fused by the learned map and by Open3D's
VoxelBlockGrid with the same voxels. Of Open3D's readings (truncation 2, 4, 8 voxels; weight above 1, 3, 5) the picture
shows the one with the best F-score at 1 cm, chosen with the truth at hand, which favours it. Both meshes are as they
came out: nothing was filtered or removed.

- The reference is the part of the true surface that the exact views of the same poses saw.
- Colour: distance to the reference, the darkest red from {100 * LIMIT_M:g} cm on. Triangles that face away from the eye
  and what lies more than 10 cm outside the reference's bounding box are not drawn.
- accuracy: mean distance from the mesh to the reference; completeness: from the reference to the mesh. F: harmonic mean
  of the shares within a distance.
{NOISE_TEXT}"""
_PANEL_SIZE = (560, 490)
_SHOWN = "neuralfusion", "TSDF"


@dataclass(frozen=True)
class SideBySide:
    """A picture of each room, and the meshes that it shows."""

    name: ClassVar[str] = "side_by_side"
    summary: ClassVar[str] = "a picture of the learned map beside the best plain TSDF, and both meshes"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Draws every room, with the first seed. `--methods` makes no difference: it takes both."""
        body, figures, numbers = "", {}, {}
        meshes: dict[str, Mesh] = {}
        conditions: dict[str, object] = {"seeds": bench.seeds[0]}
        for place in bench.places():
            conditions["image size"] = f"{place.camera.width}x{place.camera.height}"
            conditions["frames"] = f"{len(place.frames)} of each room"
            drawn = _Comparison(bench, place, self.level[0])
            figures[f"_{place.name}"] = drawn.figure()
            numbers[place.name] = {name: asdict(score) for name, score in drawn.scores.items()}
            meshes |= {f"_{place.name}_{suffix}": mesh for suffix, mesh in drawn.meshes().items()}
            body += f"## {place.name}\n\n{figure_link(self.name, f'_{place.name}', drawn.caption)}\n{drawn.caption}\n\n"
            body += score_table(list(drawn.scores.values()), list(drawn.scores), MESH_COLUMNS) + "\n"
        return Page("Side by side", _TEXT.format(level=self.level[0]), body, numbers, conditions, figures, meshes)


class _Comparison:
    """What was made of one place. scores: of the learned map and of every reading of Open3D's, by name."""

    def __init__(self, bench: Bench, place: Place, level: str) -> None:
        self._reference = seen_mesh(place.mesh, clean_views(place, bench.settings.max_depth_m))
        if not len(self._reference.triangles):
            raise ExperimentError(f"{place.name}: the views see nothing of the true surface")
        found = _fused(bench, place, level)
        scores = reference_scores(list(found.values()), self._reference, bench.samples)
        self.scores = dict(zip(found, scores, strict=True))
        plain_names = [name for name in found if name != LearnedFusion.name]
        self._best = max(plain_names, key=lambda name: self.scores[name].f1cm)
        self._shown = [found[LearnedFusion.name], found[self._best]]
        if not all(len(mesh.triangles) for mesh in self._shown):
            raise ExperimentError(f"{place.name}: a map has no surface to draw")
        ours, plain = self._shown_scores()
        self.caption = (
            f"{len(place.frames)} frames of {place.name} with {level} noise, {100 * bench.settings.voxel_size_m:g} cm "
            f"voxels. Left: the learned map, F-score at 1 cm {ours.f1cm:.3f}. Right: the best of {len(plain_names)} "
            f"readings of Open3D's TSDF ({self._best.removeprefix('open3d ')}), {plain.f1cm:.3f}."
        )

    def figure(self) -> Figure:
        """Learned map on the left."""
        return comparison_figure(_SHOWN, self._shown, Look(size=_PANEL_SIZE), self._reference, self._shown_scores())

    def meshes(self) -> Mapping[str, Mesh]:
        """What `neuralfusion compare` needs to draw the same picture."""
        return {**dict(zip(_SHOWN, self._shown, strict=True)), "reference": self._reference}

    def _shown_scores(self) -> list[MeshScores]:
        return [self.scores[LearnedFusion.name], self.scores[self._best]]


def _fused(bench: Bench, place: Place, level: str) -> dict[str, Mesh]:
    """The mesh of every reading of every method."""
    frames = noisy_frames(place, LEVELS[level], bench.seeds[0])
    methods: list[FusionMethod] = [
        bench.learned(),
        *open3d_baselines(bench.settings.voxel_size_m, bench.settings.max_depth_m),
    ]
    found: dict[str, Mesh] = {}
    with bench.progress(place.name, len(methods) * len(frames)) as advance:
        for method in methods:
            for frame in frames:
                method.integrate(frame, place.camera)
                advance(note=method.name)
            found |= {fused.name: _mesh(fused.mesh()) for fused in method.maps()}
    return found


def _mesh(triangles: Triangles) -> Mesh:
    return Mesh(np.asarray(triangles.vertices, np.float32), np.asarray(triangles.triangles, np.int32))
