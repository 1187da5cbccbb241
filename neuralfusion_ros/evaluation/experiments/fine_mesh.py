# SPDX-License-Identifier: Apache-2.0
"""The same maps, meshed more finely than they are stored: what is gained, and what it costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import (
    Inputs,
    Page,
    figure_link,
    numbers_within,
    one_of,
    setting,
    whole_numbers,
)
from neuralfusion_ros.evaluation.experiments.thin import DEFAULT_FRAMES, THINGS_TEXT
from neuralfusion_ros.evaluation.metrics import MeshScores, mesh_scores
from neuralfusion_ros.evaluation.rooms import Room, noisy_frames
from neuralfusion_ros.evaluation.score_columns import MESH_COLUMNS, NOISE_TEXT
from neuralfusion_ros.evaluation.tables import markdown_table
from neuralfusion_ros.evaluation.thin_place import ThinPlace, thin_place
from neuralfusion_ros.evaluation.thin_scores import ThinScores
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = """Each map is fused once, with voxels of {voxel_m:g} m, and meshed several times: with one vertex for each
voxel's edge, and with more of them, where the translator is asked inside the voxels (`fuse --mesh-resolution`).

- accuracy: mean distance from the mesh to the true surface; completeness: from the seen true surface to the mesh.
  F: harmonic mean of the shares within a distance. The best value of a map is bold.
"""


class _RoomCase(NamedTuple):
    room: str
    level: str
    seed: int
    subdivision: int


class _ThinCase(NamedTuple):
    kind: str
    thickness_mm: float
    subdivision: int


RoomMeshes = dict[_RoomCase, tuple[int, MeshScores]]
"""Number of triangles, and scores."""
ThinMeshes = dict[_ThinCase, list[ThinScores]]
"""One score per thing and seed."""


@dataclass(frozen=True)
class FineMesh:
    """Mesh scores over the fineness of the mesh, in rooms and of thin things."""

    name: ClassVar[str] = "fine_mesh"
    summary: ClassVar[str] = "the same maps, meshed at half the voxel size"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    subdivisions: tuple[int, ...] = setting((1, 2), whole_numbers(1), "vertices for each voxel's edge")
    levels: tuple[str, ...] = setting(("clean", "hard"), one_of(LEVELS), "levels of noise in the rooms")
    thickness_mm: tuple[float, ...] = setting((5.0, 8.0, 10.0, 15.0, 20.0), numbers_within(1, 100), "thicknesses, mm")
    thin_level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise around thin things")

    def run(self, bench: Bench) -> Page:
        """Measures every room, and one scene with thin things per seed."""
        rooms: RoomMeshes = {}
        things: ThinMeshes = {}
        frames = bench.frames or DEFAULT_FRAMES
        for room in bench.rooms():
            for seed in bench.seeds:
                for level in self.levels:
                    self._score_room(bench, room, level, seed, rooms)
        for seed in bench.seeds:
            thin = thin_place(self.thickness_mm, seed, frames, bench.image_size, bench.settings.max_depth_m)
            self._score_things(bench, thin, seed, things)
        text = _TEXT.format(voxel_m=bench.settings.voxel_size_m)
        figure = figure_link(self.name, "", "Scores of coarse and fine meshes")
        things_text = THINGS_TEXT.format(level=self.thin_level[0])
        return Page(
            "Finer meshes",
            f"{text}\n{NOISE_TEXT}",
            f"{figure}\n## Rooms\n\n{rooms_table(rooms)}\n## Thin things\n\n{things_text}\n{things_table(things)}",
            {
                "rooms": [{**case._asdict(), "triangles": n, **asdict(score)} for case, (n, score) in rooms.items()],
                "things": [
                    {**case._asdict(), "things": [asdict(score) for score in scores]} for case, scores in things.items()
                ],
            },
            {"frames": f"{bench.frames or 'all'} of each room, {frames} around thin things"},
            {"": fine_mesh_figure(rooms, things)},
        )

    def _score_room(self, bench: Bench, room: Room, level: str, seed: int, found: RoomMeshes) -> None:
        learned = bench.learned()
        frames = noisy_frames(room, LEVELS[level], seed)
        with bench.progress(f"{room.name}, {level}", len(frames)) as advance:
            for frame in frames:
                learned.integrate(frame, room.camera)
                advance()
        for subdivision in self.subdivisions:
            mesh = learned.finer_mesh(subdivision)
            scores = mesh_scores(mesh, room.truth.mesh, room.truth.surface)
            found[_RoomCase(room.name, level, seed, subdivision)] = len(mesh.triangles), scores

    def _score_things(self, bench: Bench, thin: ThinPlace, seed: int, found: ThinMeshes) -> None:
        learned = bench.learned()
        frames = noisy_frames(thin.place, LEVELS[self.thin_level[0]], seed)
        with bench.progress(thin.place.name, len(frames)) as advance:
            for frame in frames:
                learned.integrate(frame, thin.place.camera)
                advance()
        for subdivision in self.subdivisions:
            for item, scores in thin.scores(learned.finer_mesh(subdivision)):
                case = _ThinCase(item.kind, 1000 * item.thickness_m, subdivision)
                found.setdefault(case, []).append(scores)


def rooms_table(found: RoomMeshes) -> str:
    """One row per map and fineness; the best score of every map is bold."""
    rows = []
    for case, (n_triangles, scores) in found.items():
        alike = [score for other, (_, score) in found.items() if other[:3] == case[:3]]
        cells = [
            f"**{column.text(scores)}**" if column.best_of(alike) is scores else column.text(scores)
            for column in MESH_COLUMNS
        ]
        name = f"{case.room}, {case.level}, seed {case.seed}"
        rows.append([name, str(case.subdivision), f"{n_triangles:,}", *cells])
    titles = [column.title for column in MESH_COLUMNS]
    return markdown_table(["map", "vertices per voxel edge", "triangles", *titles], rows)


def things_table(found: ThinMeshes) -> str:
    """One row per kind and thickness, three columns per fineness: means over things and seeds."""
    subdivisions = list(dict.fromkeys(case.subdivision for case in found))
    rows = []
    for kind, thickness_mm in sorted({case[:2] for case in found}):
        means = [mean_scores(found[_ThinCase(kind, thickness_mm, subdivision)]) for subdivision in subdivisions]
        rows.append([f"{kind}, {thickness_mm:g} mm", *(f"{value:.3f}" for mean in means for value in mean)])
    titles = [
        f"{title} ({subdivision})" for subdivision in subdivisions for title in ("recovered", "false nearby", "F")
    ]
    return markdown_table(["thing (vertices per voxel edge)", *titles], rows)


def mean_scores(scores: list[ThinScores]) -> tuple[float, float, float]:
    """Recovered, false nearby and F."""
    kinds = [[score.recovered for score in scores], [score.false_nearby for score in scores], [s.f for s in scores]]
    recovered, false_nearby, f = (float(np.mean(values)) for values in kinds)
    return recovered, false_nearby, f


def fine_mesh_figure(rooms: RoomMeshes, things: ThinMeshes) -> Figure:
    """F at 1 cm and completeness of the rooms, and F of the thin things, over the fineness."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    f_panel, completeness_panel, thin_panel = figure.subplots(1, 3)
    for place in dict.fromkeys(case[:3] for case in rooms):
        points = [(case.subdivision, score) for case, (_, score) in rooms.items() if case[:3] == place]
        across = [subdivision for subdivision, _ in points]
        label = f"{place[0]}, {place[1]}"
        f_panel.plot(across, [score.f1cm for _, score in points], "o-", label=label)
        completeness_panel.plot(across, [score.completeness_mm for _, score in points], "o-", label=label)
    for kind in sorted({case.kind for case in things}):
        across = sorted({case.subdivision for case in things})
        means = [
            np.mean(
                [s.f for case, scores in things.items() if (case.kind, case.subdivision) == (kind, k) for s in scores]
            )
            for k in across
        ]
        thin_panel.plot(across, means, "o-", label=kind)
    labels = ("F-score at 1 cm [0..1]", "mesh completeness error [mm]", "F of thin things [0..1]")
    for panel, label in zip((f_panel, completeness_panel, thin_panel), labels, strict=True):
        panel.set_ylabel(label)
        panel.set_xlabel("vertices per voxel edge")
        panel.set_xticks(sorted({case.subdivision for case in rooms}))
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    return figure
