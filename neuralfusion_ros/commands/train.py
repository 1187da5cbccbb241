# SPDX-License-Identifier: Apache-2.0
"""neuralfusion train: train the networks from a seed, on rooms made up on the way."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.map_options import DEVICES, chosen_device
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.commands.stop_signals import StopSignals
from neuralfusion_ros.mapping.new_file import check_writable
from neuralfusion_ros.training.checkpoint import Checkpoint, read_checkpoint
from neuralfusion_ros.training.process_group import ProcessGroup, process_group
from neuralfusion_ros.training.run import Hooks, Outcome, OutputFiles, Place, StepReport, train
from neuralfusion_ros.training.settings import TrainingSettings
from neuralfusion_ros.training.settings_file import read_values, with_values

_INTERRUPTED = 130
_EXAMPLE = """example:
  neuralfusion train --steps 8000 --seed 0 --output runs/mine
  neuralfusion train --minutes 60 --output runs/mine
  neuralfusion train --resume --output runs/mine
  torchrun --nproc-per-node 2 -m neuralfusion_ros.cli train --config mine.yaml --output runs/mine
  neuralfusion fuse data/kitchen --output kitchen.ply --model runs/mine.safetensors

Writes runs/mine.safetensors (weights), runs/mine.json (model card), runs/mine.csv and runs/mine.png (loss over time)
and runs/mine.checkpoint.safetensors (to go on from). docs/training.md says more."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    default = TrainingSettings()
    parser = subparsers.add_parser(
        "train",
        help="train the networks from a seed",
        description="Train the fusion network and the translator on procedural rooms with simulated sensor noise.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--steps", metavar="N", type=int, help=f"(default {default.steps}, or no limit with --minutes)")
    add("--minutes", metavar="M", type=float, help="stop after this wall time; without --steps, plan for it")
    add("--seed", metavar="S", type=int, help=f"(default {default.seed})")
    add("--config", metavar="FILE", type=Path, help="YAML file with settings; options come before it")
    add(
        "--resume", metavar="CHECKPOINT", type=Path, nargs="?", const=Path(),
        help="go on from a checkpoint; by default from that of --output",
    )  # fmt: skip
    add("--device", choices=DEVICES, default="auto", help="auto takes the GPU if there is one (default %(default)s)")
    add("--workers", metavar="W", type=int, help="processes that make the data (default: 1 if there are cores for it)")
    add("--output", metavar="PATH", type=Path, required=True, help="files to write, without suffix")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and write the files. Raises CommandError, TrainingError or SettingsError."""
    files = OutputFiles(args.output)
    resume = _checkpoint(args, files)
    settings = _settings(args, resume)
    workers = _workers(args.workers)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    check_writable(files.weights, ".safetensors")
    device = _own_device(chosen_device(args))
    with process_group(device) as group, StopSignals() as signals, _shown(settings, resume, group) as on_step:
        place, hooks = Place(device, workers, group), Hooks(on_step, lambda: signals.received)
        outcome = train(settings, args.output, place, resume, hooks)
        if group.is_first:
            print(_summary(outcome, settings, files))
    return 0 if outcome.finished else _INTERRUPTED


def _checkpoint(args: argparse.Namespace, files: OutputFiles) -> Checkpoint | None:
    """The checkpoint to go on from, if that is asked for."""
    if args.resume is not None:
        return read_checkpoint(files.checkpoint if args.resume == Path() else args.resume)
    if files.checkpoint.exists() and os.environ.get("RANK", "0") == "0":
        raise CommandError(f"{files.checkpoint} exists: go on with --resume, or remove it, or use another --output")
    return None


def _settings(args: argparse.Namespace, resume: Checkpoint | None) -> TrainingSettings:
    """Options come before the file, the file before the checkpoint or the defaults."""
    values: dict[str, Any] = read_values(args.config) if args.config else {}
    values |= {name: value for name in ("steps", "minutes", "seed") if (value := getattr(args, name)) is not None}
    if resume is not None:
        return with_values(resume.settings, values)
    # A time without a number of steps means: as many as fit in, and a schedule to match.
    default = TrainingSettings(steps=None, minutes=1.0) if values.get("minutes") else TrainingSettings()
    return with_values(default, values)


def _workers(asked: int | None) -> int:
    """Beside the trainer one more process is kept busy; on a single core it would only be in the way."""
    if asked is not None and not 0 <= asked <= 64:
        raise CommandError(f"--workers must be in 0..64, got {asked}")
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return int(cores > 1) if asked is None else asked


def _own_device(device: torch.device) -> torch.device:
    """Of several processes on one machine each has a GPU of its own. Raises CommandError when there are too few."""
    if device.type != "cuda":
        return device
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= gpus:
        raise CommandError(f"there are {gpus} GPUs, so no more than {gpus} processes on this machine, or --device cpu")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def _shown(
    settings: TrainingSettings, resume: Checkpoint | None, group: ProcessGroup
) -> Iterator[Callable[[StepReport], None]]:
    """Progress over the steps or seconds that are left. Only the first process shows it."""
    if not group.is_first:
        yield lambda report: None
        return
    done_steps, done_s = (resume.step, round(60 * resume.minutes)) if resume else (0, 0)
    if settings.steps is not None:
        with progress("training", max(0, settings.steps - done_steps)) as advance:
            yield lambda report: advance(note=f"loss {report.loss:.3f}")
        return
    with progress("training, seconds", max(0, round(60 * (settings.minutes or 0)) - done_s)) as advance:

        def on_step(report: StepReport) -> None:
            nonlocal done_s
            seconds = int(60 * report.minutes)
            advance(max(0, seconds - done_s), note=f"step {report.step}, loss {report.loss:.3f}")
            done_s = max(done_s, seconds)

        yield on_step


def _summary(outcome: Outcome, settings: TrainingSettings, files: OutputFiles) -> str:
    what = f"{files.weights}: {outcome.step} steps from seed {settings.seed}, {outcome.minutes:.1f} minutes"
    if settings.steps is not None and outcome.step < settings.steps:
        return f"{what}; {settings.steps - outcome.step} steps are left, go on with --resume"
    return what
