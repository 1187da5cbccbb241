# SPDX-License-Identifier: Apache-2.0
"""The options about the map that several commands have."""

from __future__ import annotations

import argparse

import torch

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.mapping.settings import MapSettings

DEVICES = ("auto", "cpu", "cuda")


def add_map_options(parser: argparse.ArgumentParser) -> None:
    """Add --voxel-size, --max-depth, --model and --device."""
    default = MapSettings()
    parser.add_argument(
        "--voxel-size", metavar="M", type=float, default=default.voxel_size_m,
        help="edge of a voxel, metres (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-depth", metavar="M", type=float, default=default.max_depth_m,
        help="ignore depth beyond this, metres (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--model", metavar="NAME|PATH", default="small", help="name or .safetensors file (default %(default)s)"
    )
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="auto takes the GPU if there is one (default %(default)s)"
    )


def map_settings(args: argparse.Namespace) -> MapSettings:
    """The settings that the options ask for. Raises CommandError."""
    try:
        return MapSettings(voxel_size_m=args.voxel_size, max_depth_m=args.max_depth)
    except ValueError as error:
        raise CommandError(str(error)) from error


def chosen_device(args: argparse.Namespace) -> torch.device:
    """The device that --device asks for. Raises CommandError for cuda without a GPU."""
    has_gpu = torch.cuda.is_available()
    if args.device == "cuda" and not has_gpu:
        raise CommandError("--device cuda: this machine has no GPU that torch can use")
    return torch.device("cuda" if has_gpu and args.device != "cpu" else "cpu")
