# SPDX-License-Identifier: Apache-2.0
"""neuralfusion train: train the networks from a seed, on rooms made up on the way."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.mapping.new_file import check_writable
from neuralfusion_ros.training.trainer import TrainingSettings, train

_EXAMPLE = """example:
  neuralfusion train --steps 4000 --seed 0 --output runs/mine
  neuralfusion fuse data/kitchen --output kitchen.ply --model runs/mine.safetensors

Writes runs/mine.safetensors (weights), runs/mine.json (model card) and runs/mine.csv (loss over time)."""


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
    parser.add_argument("--steps", metavar="N", type=int, default=default.steps, help="(default %(default)s)")
    parser.add_argument("--seed", metavar="S", type=int, default=default.seed, help="(default %(default)s)")
    parser.add_argument("--output", metavar="PATH", type=Path, required=True, help="files to write, without suffix")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and write the files. Raises CommandError."""
    if args.steps < 1:
        raise CommandError(f"--steps must be at least 1, got {args.steps}")
    if args.seed < 0:
        raise CommandError(f"--seed must not be negative, got {args.seed}")
    weights = args.output.with_suffix(".safetensors")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    check_writable(weights, ".safetensors")
    with progress("training", args.steps) as advance:
        train(
            TrainingSettings(steps=args.steps, seed=args.seed),
            args.output,
            on_step=lambda step, loss: advance(note=f"loss {loss:.3f}"),
        )
    print(f"{weights}: {args.steps} steps from seed {args.seed}")
    return 0
