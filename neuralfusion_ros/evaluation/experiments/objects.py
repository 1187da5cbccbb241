# SPDX-License-Identifier: Apache-2.0
"""The paper's protocol of single objects, on other objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import (
    Inputs,
    Page,
    figure_link,
    names,
    numbers_within,
    setting,
    whole_numbers,
)
from neuralfusion_ros.evaluation.ground_truth import BAND_VOXELS
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.objects import default_objects, in_cube, load_object, views_around
from neuralfusion_ros.evaluation.places import Place, rendered_mesh
from neuralfusion_ros.evaluation.plots import sweep_figure
from neuralfusion_ros.evaluation.published import published_tables
from neuralfusion_ros.evaluation.rooms import judged, noisy_frames
from neuralfusion_ros.evaluation.score_columns import BASELINES_TEXT, map_column
from neuralfusion_ros.evaluation.sweep import Case, sweep_body, sweep_numbers
from neuralfusion_ros.evaluation.tables import Column
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.training.sensor_noise import SensorNoise

_TEXT = """Single objects in a cube of {resolution}x{resolution}x{resolution} voxels with {padding} padding, seen by
{frames} views evenly around them at a distance of one cube edge, focal length equal to the image's width. Lengths of
the scores are in cube edges.

- Depth noise is Gaussian with sigma {sigma:g} of the cube's edge, independent per pixel. Outliers are half single
  pixels, half blobs; half lie anywhere within two edges, half 5 to 50 cm off the surface.
- The cube is built with voxels of {voxel_m:g} m, so an edge is {edge_m:g} m: the networks know voxels of that size.
- The reference is exact: the distance to the mesh, negative where no clean view looked at or through the voxel. Judged
  are the voxels within {band} voxels of the surface, the same for all methods; unknown counts as free. MSE and MAD are
  clipped at {band} voxels = {clip:.4f} of the edge. The mean is over objects and seeds.
- Acc: share of voxels with the right sign. IoU, F1: of the solid voxels.
"""
_DEFAULT_VIEWS = 100


@dataclass(frozen=True)
class ObjectProtocol:
    """Scores over the share of outliers, mean over objects."""

    name: ClassVar[str] = "objects"
    summary: ClassVar[str] = "the paper's protocol of single objects, on other objects"
    inputs: ClassVar[Inputs] = Inputs.NONE

    objects: tuple[str, ...] = setting((), names, ".npz files or procedural:SEED; by default of the data folder")
    count: tuple[int, ...] = setting((20,), whole_numbers(1), "number of objects if none are named")
    percent: tuple[float, ...] = setting((0.0, 1.0, 5.0, 10.0), numbers_within(0, 50), "outliers, percent")
    resolution: tuple[int, ...] = setting((128,), whole_numbers(16), "voxels along the cube's edge")
    sigma: tuple[float, ...] = setting((0.005,), numbers_within(0, 0.1), "depth noise, in cube edges")

    def run(self, bench: Bench) -> Page:
        """Measures every object at every share of outliers."""
        edge_m = self.resolution[0] * bench.settings.voxel_size_m
        settings = replace(bench.settings, max_depth_m=2 * edge_m)
        results: dict[Case, list[MapScores]] = {}
        measured = []
        for source in self.objects or default_objects(self.count[0]):
            place = self._place(bench, source, edge_m)
            measured.append(place.name)
            self._score(bench, settings, place, edge_m, results)
        shares = [share_text(percent) for percent in self.percent]
        results = dict(sorted(results.items(), key=lambda item: shares.index(item[0].step)))
        conditions: dict[str, object] = {
            "image size": f"{bench.image_size[0]}x{bench.image_size[1]}",
            "data": f"{len(measured)} objects: {', '.join(measured)}",
        }
        return self._page(bench, results, edge_m, conditions)

    def _place(self, bench: Bench, source: str, edge_m: float) -> Place:
        """The object seen from all around."""
        name, mesh = load_object(source)
        width, height = bench.image_size
        camera = PinholeCamera(width, height, width, width, (width - 1) / 2, (height - 1) / 2)
        poses = list(enumerate(views_around(bench.frames or _DEFAULT_VIEWS, edge_m)))
        return rendered_mesh(name, in_cube(mesh, edge_m), poses, camera)

    def _score(
        self, bench: Bench, settings: MapSettings, place: Place, edge_m: float, results: dict[Case, list[MapScores]]
    ) -> None:
        """Adds the scores of one object."""
        room = judged(place, settings.voxel_size_m, settings.max_depth_m, bench.samples, BAND_VOXELS)
        for percent in self.percent:
            for seed in bench.seeds:
                frames = noisy_frames(room, object_noise(self.sigma[0], percent / 100, edge_m), seed)
                methods = bench.fusions(place.mesh, settings)
                step = share_text(percent)
                results[Case(step, place.name, seed)] = bench.score(f"{place.name}, {step}", room, frames, methods)

    def _page(
        self, bench: Bench, results: dict[Case, list[MapScores]], edge_m: float, conditions: dict[str, object]
    ) -> Page:
        text = _TEXT.format(
            resolution=self.resolution[0], padding="10 %", frames=bench.frames or _DEFAULT_VIEWS, sigma=self.sigma[0],
            voxel_m=bench.settings.voxel_size_m, edge_m=edge_m, band=BAND_VOXELS, clip=BAND_VOXELS / self.resolution[0],
        )  # fmt: skip
        columns = object_columns(edge_m)
        axis = "outlier pixels"
        figure = sweep_figure(results, axis, "Objects: mean over objects, band from least to largest", columns)
        body = sweep_body(results, axis, columns, columns)
        body += f"\n## Published by the paper\n\n{published_tables()}"
        page = f"{figure_link(self.name, '', 'Scores over outliers')}\n{body}"
        return Page("Objects", f"{text}{BASELINES_TEXT}", page, sweep_numbers(results), conditions, {"": figure})


def object_noise(sigma: float, outlier_share: float, edge_m: float) -> SensorNoise:
    """Gaussian noise of `sigma` edges, and outliers within two edges."""
    return SensorNoise("object", 1.0, (sigma * edge_m, 0.0, 0.0), outlier_share=outlier_share, max_range_m=2 * edge_m)


def object_columns(edge_m: float) -> tuple[Column[MapScores], ...]:
    """The paper's scores, lengths in cube edges."""
    edge_mm = 1000 * edge_m
    return (
        Column("MSE e-5", lambda s: 1e5 * s.voxels.mse_mm2 / edge_mm**2, ".2f", min),
        Column("MAD e-2", lambda s: 1e2 * s.voxels.mad_mm / edge_mm, ".3f", min),
        Column("Acc %", lambda s: 100 * s.voxels.sign_accuracy, ".2f", max),
        map_column("IoU"),
        map_column("F1"),
    )


def share_text(percent: float) -> str:
    """'5 %'."""
    return f"{percent:g} %"
