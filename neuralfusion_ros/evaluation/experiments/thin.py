# SPDX-License-Identifier: Apache-2.0
"""Thin rods and plates: how thin may a thing be before it is lost?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, figure_link, numbers_within, one_of, setting
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.plots import LEARNED_COLOUR, OTHER_COLOUR, TSDF_COLOUR
from neuralfusion_ros.evaluation.rooms import noisy_frames
from neuralfusion_ros.evaluation.score_columns import BASELINES_TEXT, NOISE_TEXT
from neuralfusion_ros.evaluation.tables import markdown_table
from neuralfusion_ros.evaluation.thin_place import ThinPlace, thin_place
from neuralfusion_ros.evaluation.thin_scores import ThinScores
from neuralfusion_ros.training.sensor_families import LEVELS

THINGS_TEXT = """Rods and plates of known thickness hang in a circle in an empty room; the camera goes around them
once, 0.85 m outside the circle, at noise {level}. The seed gives their places and the noise. Rods are 0.8 m long,
plates 0.3 m x 0.3 m.

- recovered: share of points on the thing's true surface, uniform over its area and seen by the clean frames, that have
  mesh within 1 cm. A map can reach 1 also with a blob around the thing; so it is read together with the next.
- false nearby: share of the mesh's area within 5 cm of the thing that is more than 1 cm away from any true surface.
- F: harmonic mean of recovered and 1 - false nearby.
"""
_TEXT = """- "best TSDF" is the variant with the highest mean F of that kind and thickness, and its other two
  numbers. Means are over the seeds.
"""
DEFAULT_FRAMES = 100


class ThinCase(NamedTuple):
    """kind: of thing. thickness_mm: its thickness. method: name of the map."""

    kind: str
    thickness_mm: float
    method: str


Results = dict[ThinCase, list[ThinScores]]
"""One score per thing and seed."""


@dataclass(frozen=True)
class ThinThings:
    """Scores over the thickness of rods and plates."""

    name: ClassVar[str] = "thin"
    summary: ClassVar[str] = "thin rods and plates, by thickness"
    inputs: ClassVar[Inputs] = Inputs.NONE

    thickness_mm: tuple[float, ...] = setting((5.0, 8.0, 10.0, 15.0, 20.0), numbers_within(1, 100), "thicknesses, mm")
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Measures one scene per seed."""
        results: Results = {}
        frames = bench.frames or DEFAULT_FRAMES
        for seed in bench.seeds:
            thin = thin_place(self.thickness_mm, seed, frames, bench.image_size, bench.settings.max_depth_m)
            self._score(bench, thin, seed, results)
        conditions = {
            "image size": f"{bench.image_size[0]}x{bench.image_size[1]}",
            "frames": frames,
            "data": f"procedural scenes, {len(bench.seeds)}",
        }
        return Page(
            "Thin things",
            f"{THINGS_TEXT.format(level=self.level[0])}{_TEXT}\n{NOISE_TEXT}{BASELINES_TEXT}",
            f"{figure_link(self.name, '', 'Recovered share over thickness')}\n{thin_table(results)}",
            [{**case._asdict(), "things": [asdict(score) for score in scores]} for case, scores in results.items()],
            conditions,
            {"": thin_figure(results)},
        )

    def _score(self, bench: Bench, thin: ThinPlace, seed: int, results: Results) -> None:
        """Adds the scores of every thing of one scene in every map."""
        place = thin.place
        frames = noisy_frames(place, LEVELS[self.level[0]], seed)
        methods = bench.fusions(place.mesh)
        with bench.progress(place.name, len(methods) * len(frames)) as advance:
            for method in methods:
                for frame in frames:
                    method.integrate(frame, place.camera)
                    advance(note=method.name)
                for found in method.maps():
                    for item, scores in thin.scores(found.mesh()):
                        case = ThinCase(item.kind, 1000 * item.thickness_m, found.name)
                        results.setdefault(case, []).append(scores)


def means(results: Results, kind: str, thickness_mm: float) -> dict[str, tuple[float, float, float]]:
    """Recovered, false nearby and F of every method, means over things and seeds."""
    return {
        case.method: (
            float(np.mean([score.recovered for score in scores])),
            float(np.mean([score.false_nearby for score in scores])),
            float(np.mean([score.f for score in scores])),
        )
        for case, scores in results.items()
        if (case.kind, case.thickness_mm) == (kind, thickness_mm)
    }


def best_plain(found: Mapping[str, tuple[float, float, float]]) -> str | None:
    """The TSDF variant with the highest F."""
    plain = {name: f for name, (_, _, f) in found.items() if name != LearnedFusion.name}
    return max(plain, key=lambda name: plain[name]) if plain else None


def thin_table(results: Results) -> str:
    """One row per kind and thickness."""
    rows = []
    for kind, thickness_mm in _kinds_and_thicknesses(results):
        found = means(results, kind, thickness_mm)
        learned, best = found.get(LearnedFusion.name), best_plain(found)
        cells = [f"{value:.3f}" for value in learned] if learned else ["-"] * 3
        cells += [*(f"{value:.3f}" for value in found[best]), best] if best else ["-"] * 4
        rows.append([f"{kind}, {thickness_mm:g} mm", *cells])
    header = ["thing", "learned: recovered", "false nearby", "F"]
    return markdown_table([*header, "best TSDF: recovered", "false nearby", "F", "variant"], rows)


def thin_figure(results: Results) -> Figure:
    """Recovered and false share over the thickness, one column per kind."""
    kinds = list(dict.fromkeys(kind for kind, _ in _kinds_and_thicknesses(results)))
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplots(2, len(kinds), squeeze=False, sharex=True)
    for column, kind in enumerate(kinds):
        for row, label in enumerate(("recovered share of the surface", "false share of the mesh within 5 cm")):
            panel = axes[row][column]
            _panel(panel, results, kind, row)
            panel.set_ylabel(f"{label} [0..1]\n({'lower' if row else 'higher'} is better)")
            panel.set_xlabel("thickness [mm]")
        axes[0][column].set_title(kind)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle("Thin things: mesh within 1 cm of their surface, and false mesh around them")
    return figure


def _panel(panel: Axes, results: Results, kind: str, which: int) -> None:
    thicknesses = sorted({case.thickness_mm for case in results if case.kind == kind})
    found = [means(results, kind, thickness) for thickness in thicknesses]
    for number, name in enumerate(name for name in found[0] if name != LearnedFusion.name):
        values = [step[name][which] for step in found]
        panel.plot(
            thicknesses, values, color=OTHER_COLOUR, linewidth=0.8, label=None if number else "all TSDF variants"
        )
    if best_plain(found[0]):
        best = [step[best_plain(step) or ""][which] for step in found]
        panel.plot(thicknesses, best, "s--", color=TSDF_COLOUR, linewidth=2, label="TSDF with the best F")
    if LearnedFusion.name in found[0]:
        learned = [step[LearnedFusion.name][which] for step in found]
        panel.plot(thicknesses, learned, "o-", color=LEARNED_COLOUR, linewidth=2, label="learned")
    panel.set_ylim(-0.03, 1.03)
    panel.grid(alpha=0.3)


def _kinds_and_thicknesses(results: Results) -> list[tuple[str, float]]:
    return sorted({(case.kind, case.thickness_mm) for case in results})
