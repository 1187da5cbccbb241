# SPDX-License-Identifier: Apache-2.0
"""neuralfusion evaluate: measure maps against the truth and against plain TSDF fusion."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.map_options import add_map_options, chosen_device, map_settings
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.evaluation.baselines import open3d_baselines, tsdf_baselines
from neuralfusion_ros.evaluation.holdout import HoldoutScores, holdout_scores, split
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.method import FusionMethod
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.results import holdout_page, rooms_page
from neuralfusion_ros.evaluation.rooms import Room, load_room, noisy_frames, score_methods
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.training.sensor_noise import LEVELS

_EXAMPLE = """example:
  neuralfusion evaluate rooms data/synth_room_00 data/synth_room_01 --levels mild,hard
  neuralfusion evaluate holdout data/kitchen

Prints the tables and writes them to docs/results/rooms.md or docs/results/holdout.md, the bare numbers to a .json
file beside it."""

_METHODS = ("all", "learned", "tsdf")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure maps against the truth and against plain TSDF fusion",
        description="Measure the learned map and plain TSDF fusion alike.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    experiments = parser.add_subparsers(metavar="EXPERIMENT", required=True)
    rooms = experiments.add_parser("rooms", help="synthetic rooms with simulated noise against their exact geometry")
    rooms.add_argument("inputs", metavar="DATA_DIR", type=Path, nargs="+", help="sequence folder with gt_mesh.ply")
    rooms.add_argument(
        "--levels", metavar="L,L", default="hard", help=f"levels of noise: {', '.join(LEVELS)} (default %(default)s)"
    )
    rooms.add_argument("--seed", metavar="S", type=int, default=0, help="of the noise (default %(default)s)")
    rooms.set_defaults(run=run, experiment=_rooms, name="rooms")
    holdout = experiments.add_parser("holdout", help="a real recording: fuse every second frame, predict the others")
    holdout.add_argument("inputs", metavar="RECORDING", type=Path, nargs=1, help="any recording that `fuse` takes")
    holdout.set_defaults(run=run, experiment=_holdout, name="holdout")
    for experiment in (rooms, holdout):
        _add_common_options(experiment)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    add_map_options(parser)
    parser.add_argument(
        "--frames-step", metavar="K", type=int, default=1, help="use every K-th frame (default %(default)s)"
    )
    parser.add_argument("--methods", choices=_METHODS, default="all", help="what to measure (default %(default)s)")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("docs/results"), help="folder to write (default %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the experiment, print its page and write it. Raises CommandError, RecordingError or ModelError."""
    if args.frames_step < 1:
        raise CommandError(f"--frames-step must be at least 1, got {args.frames_step}")
    map_settings(args)
    args.output.mkdir(parents=True, exist_ok=True)
    page, numbers = args.experiment(args)
    print(page)
    for suffix, text in ((".md", page), (".json", json.dumps(numbers, indent=1) + "\n")):
        with new_file(args.output / (args.name + suffix)) as aside:
            aside.write_text(text, encoding="utf-8")
    return 0


def _rooms(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    levels = args.levels.split(",")
    if unknown := sorted(set(levels) - set(LEVELS)):
        raise CommandError(f"--levels: no level {', '.join(unknown)}; known: {', '.join(LEVELS)}")
    if args.seed < 0:
        raise CommandError(f"--seed must not be negative, got {args.seed}")
    _learned(args)  # a missing model is found now, not after minutes
    results: dict[tuple[str, str], list[MapScores]] = {}
    conditions = _conditions(args)
    for folder in args.inputs:
        print(f"{folder}: working out the truth", file=sys.stderr, flush=True)
        room = load_room(folder, args.voxel_size, args.max_depth, args.frames_step)
        conditions["image size"] = f"{room.camera.width}x{room.camera.height}"
        for level in levels:
            results[room.name, level] = _score_room(args, room, level)
    numbers = {f"{room}, {level}": [asdict(s) for s in scores] for (room, level), scores in results.items()}
    return rooms_page(results, conditions), numbers


def _score_room(args: argparse.Namespace, room: Room, level: str) -> list[MapScores]:
    frames = noisy_frames(room, LEVELS[level], args.seed)
    methods = _learned(args)
    if args.methods != "learned":
        methods += tsdf_baselines(room.truth, args.max_depth)
    with progress(f"{room.name}, {level}", len(methods) * len(frames)) as advance:
        return score_methods(methods, frames, room, lambda name: advance(note=name))


def _holdout(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    recording = open_recording(args.inputs[0])
    fused, held_out = split(list(recording)[:: args.frames_step])
    methods = _learned(args)
    if args.methods != "learned":
        methods += open3d_baselines(args.voxel_size, args.max_depth)
    results: dict[str, HoldoutScores] = {}
    with progress(recording.name, len(methods) * len(fused)) as advance:
        for method in methods:
            for frame in fused:
                method.integrate(frame, recording.camera)
                advance(note=method.name)
            for fused_map in method.maps():
                results[fused_map.name] = holdout_scores(fused_map.mesh(), held_out, recording.camera, args.max_depth)
    conditions = _conditions(args)
    conditions["image size"] = f"{recording.camera.width}x{recording.camera.height}"
    conditions["frames"] = f"{len(fused)} fused, {len(held_out)} held out"
    return holdout_page(recording.name, results, conditions), {k: asdict(s) for k, s in results.items()}


def _learned(args: argparse.Namespace) -> list[FusionMethod]:
    """The learned map, empty, unless it is not wanted."""
    if args.methods == "tsdf":
        return []
    device = chosen_device(args)
    return [LearnedFusion(Mapper(load_model(args.model, device), map_settings(args), device))]


def _conditions(args: argparse.Namespace) -> dict[str, object]:
    conditions: dict[str, object] = {"command": f"`{_command_line(args)}`", "voxel size": f"{args.voxel_size} m"}
    if args.methods != "tsdf":
        device = chosen_device(args)
        model = load_model(args.model, device)
        conditions["model"] = f"{model.name}, sha256 {model.sha256[:12]}, on {device}"
    return conditions


def _command_line(args: argparse.Namespace) -> str:
    """The command with every option that matters, and the inputs' names instead of their places on this machine."""
    words = ["neuralfusion", "evaluate", args.name, *(path.resolve().name for path in args.inputs)]
    options = ("levels", "seed", "voxel_size", "max_depth", "frames_step", "methods")
    for option in options:
        if option in args:
            words += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    return shlex.join(words)
