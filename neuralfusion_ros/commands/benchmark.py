# SPDX-License-Identifier: Apache-2.0
"""neuralfusion benchmark: what a frame costs, beside Open3D on the same frames."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import torch

from neuralfusion_ros.benchmark.fusing import Contestant, LearnedContestant, Open3dContestant, take_turns
from neuralfusion_ros.benchmark.growth import time_growth
from neuralfusion_ros.benchmark.limits import least_ms, macs_per_ray, measure_limits
from neuralfusion_ros.benchmark.report import NAME, Measured, numbers, page
from neuralfusion_ros.benchmark.surfacing import time_surface
from neuralfusion_ros.commands.benchmark_live import (
    LIVE_FRAMES,
    add_live_options,
    check_live_options,
    refuse_live_options,
    run_live,
)
from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.frame_statistics import peak_rss_bytes, write_json
from neuralfusion_ros.commands.map_options import add_map_options, chosen_device, map_settings
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.pages import page_text, write_page
from neuralfusion_ros.evaluation.surfaces import area_m2
from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled import can_compile
from neuralfusion_ros.mapping.compiled.threads import usable_cores
from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.mapping.new_file import check_writable
from neuralfusion_ros.mapping.surface_map import SurfaceMap

_EXAMPLE = """examples:
  neuralfusion benchmark
  neuralfusion benchmark data/kitchen --json kitchen.json
  neuralfusion benchmark --live --minutes 10

Without INPUT the frames are those of the demo's room. All ways to fuse get the same frames in turns, in one process, so
their ratios hold even when the machine is busy; for the milliseconds it should be idle.
With --live the nodes run as processes of their own, and the delays from an image to the map and to the mesh, the CPU
and the memory that they take are measured over the middleware."""

_FRAMES = 60
_CHANGED_BLOCKS = 1000
_GROWTH = {"cpu": (1_000, 10_000, 50_000), "cuda": (1_000, 10_000, 50_000, 500_000)}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "benchmark",
        help="measure what a frame costs, beside Open3D",
        description="Time every stage from a depth image to messages, beside Open3D's integration of the same frames.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", nargs="?", help="a recording, as for `fuse`")
    parser.add_argument(
        "--frames", metavar="N", type=int, help=f"how many (default {_FRAMES}, {LIVE_FRAMES} with --live)"
    )
    parser.add_argument("--json", metavar="F.json", type=Path, help="write the numbers here")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="write the page, .md, .json and .png, into this folder"
    )
    add_live_options(parser)
    add_map_options(parser)
    parser.set_defaults(run=run)


@torch.no_grad()
def run(args: argparse.Namespace) -> int:
    """Measure and print the page. Raises CommandError and the like."""
    _check_options(args)
    frames, camera = _frames(args.input, args.frames or (LIVE_FRAMES if args.live else _FRAMES))
    if args.live:
        return run_live(args, _name(args.input), frames, camera)
    measured = _measure(args, frames, camera)
    conditions = {
        "frames": f"{len(frames)} of {_name(args.input)}, {camera.width}x{camera.height}",
        "voxel size": f"{args.voxel_size:g} m, depth up to {args.max_depth:g} m",
        "device": str(chosen_device(args)),
        "threads": f"kernels {usable_cores()}, torch {torch.get_num_threads()}, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}",
        "command": f"neuralfusion benchmark{' ' + _name(args.input) if args.input else ''}",
    }
    result = page(measured, conditions)
    print(text := page_text(result, {}))
    if args.output:
        write_page(args.output, NAME, result, text)
    if args.json:
        write_json(args.json, numbers(measured))
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if args.frames is not None and args.frames < 5:
        raise CommandError(f"--frames must be at least 5, got {args.frames}")
    if args.json is not None:
        check_writable(args.json, ".json")
    if args.output is not None and not args.output.is_dir():
        raise CommandError(f"there is no folder {args.output}")
    if args.live:
        check_live_options(args)
    else:
        refuse_live_options(args)


def _name(source: str | None) -> str:
    return "the room of the demo" if source is None else Path(source).name


def _frames(source: str | None, count: int) -> tuple[list[Frame], PinholeCamera]:
    if source is None:
        return list(_counted(demo_frames(count), count)), CAMERA
    recording = open_recording(source)
    frames = list(_counted(islice(recording, count), min(count, len(recording))))
    if len(frames) < 5:
        raise CommandError(f"{source} has {len(frames)} usable frames, a benchmark needs 5")
    return frames, recording.camera


def _counted(frames: Iterable[Frame], count: int, what: str = "reading frames") -> Iterator[Frame]:
    with progress(what, count) as advance:
        for frame in frames:
            yield frame
            advance()


def _measure(args: argparse.Namespace, frames: list[Frame], camera: PinholeCamera) -> Measured:
    device, settings = chosen_device(args), map_settings(args)
    model = load_model(args.model, device)
    compiled = can_compile(device)
    learned = [LearnedContestant(model, settings, device, each) for each in sorted({compiled, False}, reverse=True)]
    contestants: list[Contestant] = [*learned, Open3dContestant(settings)]
    take_turns(contestants, _counted(frames, len(frames), "fusing"), camera)
    ours = learned[0]
    limits = measure_limits(device)
    whole = SurfaceMap(ours.grid, model.translator)
    whole.mark_changed(ours.grid.keys)
    mesh = whole.mesh()
    surface, counts = time_surface(whole, ours.grid.keys[-_CHANGED_BLOCKS:])
    area = area_m2(Triangles(mesh.vertices, mesh.triangles))
    return Measured(
        contestants=contestants,
        limits=limits,
        least_ms=least_ms(ours, camera.width * camera.height, macs_per_ray(model.fusion), limits),
        surface=surface,
        counts=counts,
        growth=time_growth(frames[-1], camera, model, settings, device, compiled, _GROWTH[device.type]),
        bytes_per_voxel=ours.grid.nbytes / (ours.grid.n_blocks * BLOCK_VOXELS),
        megabytes_per_100_m2=1e-6 * ours.grid.nbytes / (area / 100),
        peak_rss_bytes=peak_rss_bytes(),
    )
