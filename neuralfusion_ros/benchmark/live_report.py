# SPDX-License-Identifier: Apache-2.0
"""The page that says how soon a robot sees what its camera sees, and what that takes of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuralfusion_ros.benchmark.arrivals import percentile
from neuralfusion_ros.benchmark.live_measured import Endured, FrameCounts, LiveMeasured
from neuralfusion_ros.evaluation.experiment import Page, figure_link
from neuralfusion_ros.evaluation.tables import markdown_table

NAME = "live"
PERCENTILES = (50, 95)

_TEXT = """The fusion node and the translator node run as processes of their own. A third process is the camera, and
hears what they publish, over the real middleware. Images carry the time at which they are sent. A delay is the time
from that to the arrival of the first message which, with those before it, shows all of the image. Frames that were
dropped have the delay of the next one that was used."""

_SUSTAINED = """Three images wait or are in work at any time: the next one is sent when the fusion node says that one is
done. So it never waits for an image, and drops none."""


def page(measured: LiveMeasured, conditions: Mapping[str, object]) -> Page:
    """Tables, a plot and the numbers."""
    body = "\n".join(
        (_delay_table(measured), figure_link(NAME, "", "delays by frame, and memory over time"), _cpu_table(measured))
        + (_frames_text(measured),)
        + ((_memory_table(measured.endured),) if measured.endured else ())
    )
    return Page("Live", _TEXT, body, numbers(measured), conditions, {"": _figure(measured)})


def numbers(measured: LiveMeasured) -> dict[str, Any]:
    """The same for machines. Milliseconds that are null: some images were never shown."""
    played, sustained, endured = measured.played, measured.sustained, measured.endured
    result: dict[str, Any] = {
        "first_mesh_s": measured.first_mesh_s,
        "delays_ms": {
            output: {f"p{percent}": percentile(delays, percent) for percent in PERCENTILES}
            | {"never_shown": sum(delay is None for delay in delays)}
            for output, delays in played.delays_ms.items()
        },
        "sent_per_s": played.sent_per_s,
        "frames": _counts(played.frames),
        "cpu_percent": {
            "idle": dict(measured.idle_percent),
            "playing": dict(played.cpu_percent),
            "sustained": dict(sustained.cpu_percent),
        },
        "sustained": {"frames_per_s": sustained.frames_per_s, "frames": _counts(sustained.frames)},
    }
    if endured:
        memory = endured.memory
        result["memory"] = {
            "frames": _counts(endured.frames),
            "growth_mb_per_minute": {node: memory.growth_mb_per_minute(node) for node in memory.nodes},
            "times_s": [round(time_s, 1) for time_s in memory.times_s],
            "resident_bytes": dict(memory.resident_bytes),
        }
    return result


def _counts(frames: FrameCounts) -> dict[str, int]:
    return {**frames._asdict(), "lost": frames.lost}


def _delay_table(measured: LiveMeasured) -> str:
    first = "never" if measured.first_mesh_s is None else f"{measured.first_mesh_s:.2f} s"
    rows = []
    for output, delays in measured.played.delays_ms.items():
        p50, p95 = (percentile(delays, percent) for percent in PERCENTILES)
        rows.append([output, f"{p50:.0f}", f"{p95:.0f}", f"{sum(delay is None for delay in delays)}"])
    header = ["from an image to", "p50 ms", "p95 ms", "never shown"]
    return f"## Delay\n\nFrom the first image to the first triangles: {first}.\n\n{markdown_table(header, rows)}"


def _cpu_table(measured: LiveMeasured) -> str:
    parts = (measured.idle_percent, measured.played.cpu_percent, measured.sustained.cpu_percent)
    rows = [[node, *(f"{part[node]:.1f}" for part in parts)] for node in measured.idle_percent]
    header = ["node", "idle", f"at {measured.played.sent_per_s:.1f} images/s", "as fast as possible"]
    return f"## CPU, percent of one core\n\n{markdown_table(header, rows)}"


def _frames_text(measured: LiveMeasured) -> str:
    parts = {"at the camera's rate": measured.played.frames, "as fast as possible": measured.sustained.frames}
    if measured.endured:
        parts["for minutes"] = measured.endured.frames
    rows = [[name, *map(str, (*frames, frames.lost))] for name, frames in parts.items()]
    table = markdown_table(["part", "sent", "integrated", "dropped", "rejected", "lost on the way"], rows)
    rate = f"{measured.sustained.frames_per_s:.1f} frames/s with both nodes running"
    return f"## Frames\n\n{table}\nAs fast as possible: **{rate}**. {_SUSTAINED}\n"


def _memory_table(endured: Endured) -> str:
    memory = endured.memory
    rows = [
        [node, f"{resident[0] / 1e6:.0f}", f"{resident[-1] / 1e6:.0f}", f"{memory.growth_mb_per_minute(node):.2f}"]
        for node, resident in memory.resident_bytes.items()
    ]
    header = ["node", "MB at first", "MB at last", "MB per minute after the first"]
    return f"## Memory over {memory.times_s[-1] / 60:.1f} minutes\n\n{markdown_table(header, rows)}"


def _figure(measured: LiveMeasured) -> Figure:
    memory = measured.endured.memory if measured.endured else None
    figure = Figure(figsize=(9 if memory else 5, 3), layout="constrained")
    panels = figure.subplots(1, 2 if memory else 1, squeeze=False)[0]
    _plot_delays(panels[0], measured)
    if memory:
        for node, resident in memory.resident_bytes.items():
            panels[1].plot(np.array(memory.times_s) / 60, np.array(resident) / 1e6, label=node)
        panels[1].set(xlabel="minutes", ylabel="resident memory, MB")
        panels[1].set_ylim(0, 1.1 * max(map(max, memory.resident_bytes.values())) / 1e6)
        panels[1].legend(fontsize="small")
    return figure


def _plot_delays(panel: Axes, measured: LiveMeasured) -> None:
    for output, delays in measured.played.delays_ms.items():
        panel.plot([np.nan if delay is None else delay for delay in delays], ".", markersize=3, label=output)
    panel.set(xlabel="frame", ylabel="delay, ms")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize="small")
