# SPDX-License-Identifier: Apache-2.0
"""What the demo says at its end, and whether it went well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from neuralfusion_ros.commands.demo_watcher import DemoWatcher

_REJECTED = "rejected."
_INTERNAL = "rejected.internal"


def summarise(watcher: DemoWatcher, frames: int, triangles: int, exit_codes: Mapping[str, int]) -> dict[str, Any]:
    """The numbers of summary.json. frames: that the recording has."""
    said = watcher.diagnostics.get("fusion_node", {})
    rejected = {key.removeprefix(_REJECTED): int(said[key]) for key in said if key.startswith(_REJECTED)}
    return {
        "frames_in_recording": frames,
        "frames_in": int(said.get("received", 0)),
        "frames_integrated": int(said.get("integrated", 0)),
        "frames_dropped": int(said.get("dropped", 0)),
        "frames_rejected": rejected,
        "ms_per_frame": {"p50": float(said.get("ms_p50", 0)), "p95": float(said.get("ms_p95", 0))},
        "blocks": int(said.get("blocks", 0)),
        "map_bytes": int(said.get("map_bytes", 0)),
        "device": said.get("device", ""),
        "model": {"name": said.get("model", ""), "sha256": said.get("model_sha256", "")},
        "marker_messages": watcher.marker_messages,
        "markers": watcher.markers,
        "tsdf_messages": watcher.tsdf_messages,
        "tsdf_points": watcher.tsdf_points,
        "triangles": triangles,
        "internal_errors": {node: int(values.get(_INTERNAL, 0)) for node, values in watcher.diagnostics.items()},
        "exit_codes": dict(exit_codes),
    }


def first_problem(summary: Mapping[str, Any]) -> str:
    """What a good run must have and this one lacks first, with the node whose log may tell more; empty if nothing."""
    if not summary["frames_integrated"]:
        return "fusion_node integrated no frame"
    if not summary["markers"]:
        return "translator_node sent no markers with triangles"
    if not summary["tsdf_points"]:
        return "translator_node sent no TSDF"
    if not summary["triangles"]:
        return "translator_node wrote an empty mesh"
    problems = [f"{node} had {count} internal errors" for node, count in summary["internal_errors"].items() if count]
    problems += [f"{node} ended with exit code {code}" for node, code in summary["exit_codes"].items() if code]
    return next(iter(problems), "")


def print_summary(summary: Mapping[str, Any]) -> None:
    """A table for people, on stdout."""
    reasons = ", ".join(f"{count} ({reason})" for reason, count in summary["frames_rejected"].items()) or "none"
    ms = summary["ms_per_frame"]
    rows = {
        "frames received": f"{summary['frames_in']} of {summary['frames_in_recording']}",
        "frames integrated": f"{summary['frames_integrated']}",
        "frames dropped": f"{summary['frames_dropped']}",
        "frames rejected": reasons,
        "time per frame": f"{ms['p50']:.0f} ms p50, {ms['p95']:.0f} ms p95, on {summary['device']}",
        "latent map": f"{summary['map_bytes'] / 1e6:.1f} MB, {summary['blocks']} blocks",
        "mesh": f"{summary['triangles']} triangles",
        "markers": f"{summary['markers']} in {summary['marker_messages']} messages",
        "TSDF": f"{summary['tsdf_points']} points in {summary['tsdf_messages']} messages",
        "wall time": f"{summary['wall_s']:.0f} s, replay {summary['replay_s']:.0f} s",
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
