# SPDX-License-Identifier: Apache-2.0
"""The page that says what a frame costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from neuralfusion_ros.benchmark.fusing import FRAME, Contestant
from neuralfusion_ros.benchmark.limits import Limits
from neuralfusion_ros.benchmark.stages import Stages
from neuralfusion_ros.evaluation.experiment import Page, figure_link
from neuralfusion_ros.evaluation.tables import markdown_table

NAME = "performance"

_TEXT = """What a frame costs. All ways to fuse get the same frames in turns, in one process, so their ratios hold even
on a busy machine. The least time is what the bytes of the image and of the touched blocks take at the rate of a large
copy, plus what the products of the network take at the rate of a large matrix product, both measured in this run."""


@dataclass(frozen=True)
class Measured:
    """Everything of one run. contestants: the learned ones, then Open3D. least_ms: of the first one's last frame.

    surface, counts: from changed blocks to messages. growth: milliseconds by blocks in the map. bytes_per_voxel: of the
    latent map. megabytes_per_100_m2: of the latent map, by area of its mesh.
    """

    contestants: list[Contestant]
    limits: Limits
    least_ms: float
    surface: Stages
    counts: Mapping[str, int]
    growth: Mapping[int, float]
    bytes_per_voxel: float
    megabytes_per_100_m2: float
    peak_rss_bytes: int

    @property
    def open3d(self) -> Stages:
        """Times of Open3D."""
        return self.contestants[-1].stages


def page(measured: Measured, conditions: Mapping[str, object]) -> Page:
    """Tables, a plot and the numbers."""
    body = "\n".join(
        (
            _frame_table(measured),
            _stage_table(measured),
            figure_link(NAME, "", "milliseconds by stage"),
            _surface_table(measured),
            _growth_table(measured),
            _facts(measured),
        )
    )
    return Page("Performance", _TEXT, body, numbers(measured), conditions, {"": _figure(measured)})


def numbers(measured: Measured) -> dict[str, Any]:
    """The same for machines."""
    open3d_ms = measured.open3d.percentile(FRAME, 50)
    ways = {
        each.name: {
            "stages_ms": each.stages.summary(),
            "frames_per_s": 1000 / each.stages.percentile(FRAME, 50),
            "ratio_to_open3d": each.stages.percentile(FRAME, 50) / open3d_ms,
        }
        for each in measured.contestants
    }
    return {
        "fusing": ways,
        "surface_ms": measured.surface.summary(),
        "surface_counts": dict(measured.counts),
        "growth_ms": dict(measured.growth),
        "limits": {"copy_bytes_per_s": measured.limits.copy_bytes_per_s, "flops": measured.limits.flops},
        "least_ms": measured.least_ms,
        "share_of_limit": _share(measured),
        "bytes_per_voxel": measured.bytes_per_voxel,
        "megabytes_per_100_m2": measured.megabytes_per_100_m2,
        "peak_rss_bytes": measured.peak_rss_bytes,
    }


def _share(measured: Measured) -> float:
    return measured.least_ms / measured.contestants[0].stages.percentile(FRAME, 50)


def _frame_table(measured: Measured) -> str:
    rows = []
    for each in measured.contestants:
        p50, p95, p99 = (each.stages.percentile(FRAME, percentile) for percentile in (50, 95, 99))
        ratio = p50 / measured.open3d.percentile(FRAME, 50)
        rows.append([each.name, f"{p50:.1f}", f"{p95:.1f}", f"{p99:.1f}", f"{1000 / p50:.1f}", f"{ratio:.2f}"])
    header = ["way to fuse", "p50 ms", "p95 ms", "p99 ms", "frames/s", "against Open3D"]
    return "## A frame\n\n" + markdown_table(header, rows)


def _stage_table(measured: Measured) -> str:
    learned = measured.contestants[:-1]
    stages = [stage for stage in learned[0].stages.ms if stage != FRAME]
    rows = [[stage, *(f"{each.stages.percentile(stage, 50):.2f}" for each in learned)] for stage in stages]
    return "## Its stages, p50 ms\n\n" + markdown_table(["stage", *(each.name for each in learned)], rows)


def _surface_table(measured: Measured) -> str:
    rows = [[stage, f"{measured.surface.percentile(stage, 50):.1f}"] for stage in measured.surface.ms]
    counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in measured.counts.items())
    return f"## From changed blocks to messages\n\n{counts}.\n\n" + markdown_table(["stage", "ms"], rows)


def _growth_table(measured: Measured) -> str:
    first = next(iter(measured.growth.values()))
    rows = [[f"{blocks:,}", f"{ms:.1f}", f"{ms / first:.2f}"] for blocks, ms in measured.growth.items()]
    return "## The same frame in a larger map\n\n" + markdown_table(["blocks", "p50 ms", "ratio"], rows)


def _facts(measured: Measured) -> str:
    limits = measured.limits
    return (
        "## Limits and memory\n\n"
        f"- copy {limits.copy_bytes_per_s / 1e9:.1f} GB/s, matrix product {limits.flops / 1e9:.0f} GFLOP/s\n"
        f"- least time of a frame {measured.least_ms:.2f} ms: {100 * _share(measured):.0f} % of the time taken\n"
        f"- {measured.bytes_per_voxel:.1f} bytes per allocated voxel, table included\n"
        f"- {measured.megabytes_per_100_m2:.0f} MB per 100 m² of surface\n"
        f"- largest memory of the process {measured.peak_rss_bytes / 1e6:.0f} MB, Open3D's map included\n"
    )


def _figure(measured: Measured) -> Figure:
    figure = Figure(figsize=(7, 3), layout="constrained")
    panel = figure.add_subplot()
    for row, each in enumerate(measured.contestants):
        left = 0.0
        stages = [stage for stage in each.stages.ms if stage != FRAME] or [FRAME]
        for number, stage in enumerate(stages):
            ms = each.stages.percentile(stage, 50)
            panel.barh(
                row, ms, left=left, color=f"C{number}" if len(stages) > 1 else "0.5", label=None if row else stage
            )
            left += ms
    panel.set_yticks(range(len(measured.contestants)), [each.name for each in measured.contestants])
    panel.invert_yaxis()
    panel.set_xlabel("milliseconds per frame, p50")
    panel.legend(ncols=5, fontsize="small", loc="lower right")
    return figure
