# SPDX-License-Identifier: Apache-2.0
"""A real recording: half of the frames are fused, the other half is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.evaluation.baselines import open3d_baselines
from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import Inputs, Page, figure_link
from neuralfusion_ros.evaluation.holdout import HoldoutScores, holdout_scores, split
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.method import FusionMethod
from neuralfusion_ros.evaluation.places import spread
from neuralfusion_ros.evaluation.plots import LEARNED_COLOUR, TSDF_COLOUR
from neuralfusion_ros.evaluation.tables import Column, score_table

HOLDOUT_COLUMNS: tuple[Column[HoldoutScores], ...] = (
    Column("within 2 cm", lambda s: s.within_2cm, ".4f", max),
    Column("within 5 cm", lambda s: s.within_5cm, ".4f", max),
    Column("missing", lambda s: s.missing, ".4f", min),
    Column("floating", lambda s: s.floating, ".4f", min),
)
_TEXT = """A real recording without ground truth. Every second frame is fused. The mesh is seen from the poses
of the other frames and compared with their measured depth. Shares are of all measured pixels within the maximal depth.

- within: the predicted depth differs by at most that. A pixel without prediction counts as not within.
- missing: no surface on the ray. floating: the surface is more than 5 cm nearer than the measurement.
"""


@dataclass(frozen=True)
class Holdout:
    """Prediction of depth that no map has seen."""

    name: ClassVar[str] = "holdout"
    summary: ClassVar[str] = "a real recording: fuse every second frame, predict the others"
    inputs: ClassVar[Inputs] = Inputs.RECORDING

    def run(self, bench: Bench) -> Page:
        """Measures the recording."""
        recording = open_recording(Path(bench.inputs[0]))
        fused, held_out = split(spread(list(recording), bench.frames))
        settings = bench.settings
        methods: list[FusionMethod] = [bench.learned()] if bench.with_learned else []
        if bench.with_tsdf:
            methods += open3d_baselines(settings.voxel_size_m, settings.max_depth_m)
        results: dict[str, HoldoutScores] = {}
        with bench.progress(recording.name, len(methods) * len(fused)) as advance:
            for method in methods:
                for frame in fused:
                    method.integrate(frame, recording.camera)
                    advance(note=method.name)
                for found in method.maps():
                    scores = holdout_scores(found.mesh(), held_out, recording.camera, settings.max_depth_m)
                    results[found.name] = scores
        conditions = {
            "image size": f"{recording.camera.width}x{recording.camera.height}",
            "frames": f"{len(fused)} fused, {len(held_out)} held out",
        }
        return holdout_page(recording.name, results, conditions)


def holdout_page(recording: str, results: Mapping[str, HoldoutScores], conditions: Mapping[str, object]) -> Page:
    """results: scores by the name of the map."""
    table = score_table(list(results.values()), list(results), HOLDOUT_COLUMNS)
    return Page(
        f"Held-out frames of {recording}",
        _TEXT,
        f"{figure_link('holdout', '', 'Shares of predicted pixels')}\n{table}",
        {name: asdict(scores) for name, scores in results.items()},
        conditions,
        {"": _figure(recording, results)},
    )


def _figure(recording: str, results: Mapping[str, HoldoutScores]) -> Figure:
    figure = Figure(figsize=(12, 0.9 + 0.3 * len(results)), layout="constrained")
    panels = figure.subplots(1, len(HOLDOUT_COLUMNS), sharey=True)
    at = np.arange(len(results))
    colours = [LEARNED_COLOUR if name == LearnedFusion.name else TSDF_COLOUR for name in results]
    for panel, column in zip(panels, HOLDOUT_COLUMNS, strict=True):
        values = [column.value(scores) for scores in results.values()]
        panel.barh(at, values, color=colours)
        panel.set_yticks(at, list(results))
        panel.set_xlabel(f"{column.title} [share of pixels]\n({'higher' if column.best is max else 'lower'} is better)")
        panel.set_xlim(0.8 * min(values), min(1.0, 1.05 * max(values) + 1e-3))
        panel.grid(axis="x", alpha=0.3)
    panels[0].invert_yaxis()
    figure.suptitle(f"Predicted depth of frames that were held out, {recording}")
    return figure
