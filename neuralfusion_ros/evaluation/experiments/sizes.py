# SPDX-License-Identifier: Apache-2.0
"""Voxels and images of other sizes than the networks were trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from neuralfusion_ros.evaluation.bench import Bench
from neuralfusion_ros.evaluation.experiment import (
    Inputs,
    Page,
    figure_link,
    image_sizes,
    numbers_within,
    one_of,
    setting,
)
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.places import Place, seen_with
from neuralfusion_ros.evaluation.plots import sweep_figure
from neuralfusion_ros.evaluation.rooms import noisy_frames
from neuralfusion_ros.evaluation.score_columns import BASELINES_TEXT, METRICS_TEXT, NOISE_TEXT
from neuralfusion_ros.evaluation.sweep import Case, sweep_body, sweep_numbers
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.sensor_families import LEVELS

_TEXT = """The same weights with other voxel sizes and other image sizes, at noise {level}. The released networks are
trained with voxels of 2 to 4 cm and images of 320x240, 480x360 and 640x480.

- Voxel sizes: MAD, MSE and IoU are counted in a band whose width goes with the voxels, so compare methods within a step
  and not steps with each other; the mesh scores can be compared.
- Image sizes: every image is rendered anew from the exact geometry, from the same poses, with the same horizontal field
  of view; voxels are {voxel_m:g} m. Lengths of the noise in pixels go with the image's width.
"""


@dataclass(frozen=True)
class SizeComparison:
    """Scores over the voxel size and over the image size."""

    name: ClassVar[str] = "sizes"
    summary: ClassVar[str] = "other voxel and image sizes than trained on"
    inputs: ClassVar[Inputs] = Inputs.ROOMS

    voxel_sizes: tuple[float, ...] = setting((0.015, 0.02, 0.03, 0.05), numbers_within(0.005, 0.2), "voxel sizes, m")
    image_sizes: tuple[tuple[int, int], ...] = setting(
        ((320, 240), (640, 480), (1280, 720)), image_sizes, "image sizes"
    )
    level: tuple[str, ...] = setting(("hard",), one_of(LEVELS), "level of noise")

    def run(self, bench: Bench) -> Page:
        """Measures every size in every room."""
        voxels: dict[Case, list[MapScores]] = {}
        images: dict[Case, list[MapScores]] = {}
        for place in bench.places():
            for size_m in sorted(self.voxel_sizes):
                self._score(bench, f"{100 * size_m:g} cm", place, size_m, voxels)
            for width, height in self.image_sizes:
                seen = seen_with(place, resized(place.camera, width, height))
                self._score(bench, f"{width}x{height}", seen, bench.settings.voxel_size_m, images)
        text = _TEXT.format(level=self.level[0], voxel_m=bench.settings.voxel_size_m)
        parts = (("_voxels", "voxel size", voxels, _by_voxel), ("_images", "image size", images, _by_image))
        return self._page(text, [(suffix, axis, _ordered(found, key)) for suffix, axis, found, key in parts])

    def _score(
        self, bench: Bench, step: str, place: Place, voxel_size_m: float, into: dict[Case, list[MapScores]]
    ) -> None:
        room = bench.judged(place, replace(bench.settings, voxel_size_m=voxel_size_m))
        for seed in bench.seeds:
            frames = noisy_frames(room, LEVELS[self.level[0]], seed)
            into[Case(step, room.name, seed)] = bench.score(f"{room.name}, {step}", room, frames)

    def _page(self, text: str, parts: list[tuple[str, str, dict[Case, list[MapScores]]]]) -> Page:
        body, figures = "", {}
        for suffix, axis, results in parts:
            figures[suffix] = sweep_figure(results, axis, f"Quality over the {axis}")
            tables = sweep_body(results, axis, heading="###")
            body += f"## {axis.capitalize()}\n\n{figure_link(self.name, suffix, f'Scores over the {axis}')}\n{tables}\n"
        numbers = {axis: sweep_numbers(results) for _, axis, results in parts}
        every = f"{text}\n{NOISE_TEXT}{METRICS_TEXT}{BASELINES_TEXT}"
        return Page("Voxel and image sizes", every, body.rstrip() + "\n", numbers, {}, figures)


def resized(camera: PinholeCamera, width: int, height: int) -> PinholeCamera:
    """A camera of that image size with the same horizontal field of view and centre."""
    scale = width / camera.width
    centre_u = (camera.cx + 0.5) * scale - 0.5
    centre_v = (camera.cy + 0.5) / camera.height * height - 0.5
    return PinholeCamera(width, height, camera.fx * scale, camera.fy * scale, centre_u, centre_v)


def _by_voxel(step: str) -> float:
    return float(step.removesuffix(" cm"))


def _by_image(step: str) -> float:
    width, height = step.split("x")
    return int(width) * int(height)


def _ordered(results: dict[Case, list[MapScores]], key: Callable[[str], float]) -> dict[Case, list[MapScores]]:
    return dict(sorted(results.items(), key=lambda item: key(item[0].step)))
