# SPDX-License-Identifier: Apache-2.0
"""neuralfusion benchmark --live: the running nodes as a robot would see them."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from neuralfusion_ros.benchmark.live_measured import LiveMeasured
from neuralfusion_ros.benchmark.live_report import NAME, numbers, page
from neuralfusion_ros.benchmark.process_usage import is_known
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.frame_statistics import write_json
from neuralfusion_ros.commands.map_options import chosen_device, map_settings
from neuralfusion_ros.commands.node_processes import NodeFailure, NodeProcesses, set_ros_environment
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.pages import fit_for_json, page_text, write_page
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.model import load_model

LIVE_FRAMES = 150
RATES = {"rate": 10.0, "publish_rate": 10.0, "mesh_rate": 5.0}


def add_live_options(parser: argparse.ArgumentParser) -> None:
    """Add --live and the options that go with it."""
    group = parser.add_argument_group("with --live")
    group.add_argument("--live", action="store_true", help="measure the running ROS graph instead")
    group.add_argument("--minutes", metavar="M", type=float, help="at the end play on for so long and watch the memory")
    for name, what in (("rate", "images"), ("publish_rate", "latent_blocks"), ("mesh_rate", "mesh")):
        group.add_argument(
            f"--{name.replace('_', '-')}", metavar="HZ", type=float, help=f"rate of {what} (default {RATES[name]:g})"
        )


def refuse_live_options(args: argparse.Namespace) -> None:
    """Raises CommandError when options are given that mean nothing without --live."""
    for name in ("minutes", *RATES):
        if getattr(args, name) is not None:
            raise CommandError(f"--{name.replace('_', '-')} goes with --live")


def check_live_options(args: argparse.Namespace) -> None:
    """What the nodes would refuse, or what cannot be measured, is refused here. Raises CommandError and ModelError."""
    map_settings(args)
    load_model(args.model, chosen_device(args))
    if args.minutes is not None and not 0 < args.minutes <= 1440:
        raise CommandError(f"--minutes must lie in 0..1440, got {args.minutes}")
    for name in RATES:
        value = getattr(args, name)
        if value is not None and not 0.1 <= value <= 1000:
            raise CommandError(f"--{name.replace('_', '-')} must lie in 0.1..1000, got {value}")
    if not is_known():
        raise CommandError("--live needs /proc, as Linux has it")


def run_live(args: argparse.Namespace, name: str, frames: Sequence[Frame], camera: PinholeCamera) -> int:
    """Measure and print the page. name: of the recording. Returns 0, or 1 when a node failed."""
    rates = {key: getattr(args, key) or default for key, default in RATES.items()}
    try:
        measured = _measure(args, rates, frames, camera)
    except NodeFailure as failure:
        print(f"neuralfusion: the benchmark failed: {failure}", file=sys.stderr)
        return 1
    conditions = {
        "frames": f"{len(frames)} of {name}, {camera.width}x{camera.height}",
        "voxel size": f"{args.voxel_size:g} m, depth up to {args.max_depth:g} m",
        "rates": f"images {rates['rate']:g} Hz, latent_blocks {rates['publish_rate']:g} Hz, "
        f"mesh {rates['mesh_rate']:g} Hz",
        "model, device": f"{Path(args.model).name}, {chosen_device(args)}",
        "threads": f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}",
        "load": f"{os.getloadavg()[0]:.1f} processes on average in the last minute, those of the benchmark included",
        "command": _command(args, name),
    }
    result = page(measured, conditions)
    text = page_text(result, {})
    Console().print(Markdown(text))
    if args.output:
        write_page(args.output, NAME, result, text)
    if args.json:
        write_json(args.json, fit_for_json(numbers(measured)))
    return 0


def _measure(
    args: argparse.Namespace, rates: dict[str, float], frames: Sequence[Frame], camera: PinholeCamera
) -> LiveMeasured:
    set_ros_environment()
    # ROS reads the environment when it is imported.
    from neuralfusion_ros.commands.live_camera import LiveCamera
    from neuralfusion_ros.commands.live_run import LivePlan, LiveRun
    from neuralfusion_ros.commands.live_watcher import LiveWatcher
    from neuralfusion_ros.commands.mapping_graph import MappingGraph

    common = {"model": args.model, "device": args.device}
    fusion = {
        "voxel_size": args.voxel_size,
        "max_depth": args.max_depth,
        "publish_rate_hz": rates["publish_rate"],
        # Every frame: its marker says when the frame was integrated.
        "camera_rate_hz": 1000.0,
    }
    logs = Path(tempfile.mkdtemp(prefix="neuralfusion_live_"))
    plan = LivePlan(len(frames), rates["rate"], args.minutes or 0.0)
    with LiveWatcher(LiveCamera(frames, camera, "odom")) as watcher, NodeProcesses(logs) as nodes:
        graph = MappingGraph(nodes, watcher)
        graph.start(common | fusion, common | {"mesh_rate_hz": rates["mesh_rate"]})
        measured = LiveRun(graph, nodes, watcher, plan).measure()
    shutil.rmtree(logs)  # stays when a node fails, which says where it is
    return measured


def _command(args: argparse.Namespace, name: str) -> str:
    """To repeat it. The model's path and the files that are written are not part of it."""
    numbers = [*((key, getattr(args, key)) for key in ("frames", "minutes", *RATES)), ("voxel_size", args.voxel_size)]
    given = [f"--{key.replace('_', '-')} {value:g}" for key, value in numbers if value is not None]
    return " ".join(["neuralfusion benchmark --live", *([name] if args.input else []), *given])
