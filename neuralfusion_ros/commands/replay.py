# SPDX-License-Identifier: Apache-2.0
"""neuralfusion replay: publish a recording on ROS topics."""

from __future__ import annotations

import argparse
from functools import partial

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.nodes.parameters import ReplayParameters

_DEFAULT = ReplayParameters()
_EXAMPLE = """example:
  neuralfusion replay data/kitchen --rate 0.5
  neuralfusion replay kitchen_bag --loop --clock

Topics: depth/image (16UC1, millimetres), depth/camera_info, pose (PoseStamped in the frame odom) and, with --clock,
/clock. It waits up to 10 s for a subscriber of depth/image, then up to 3 s for those of the other topics, and ends when
the last messages have arrived."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "replay",
        help="publish a recording on ROS topics",
        description="Publish the depth images and poses of a recording on ROS topics, as if a camera were running.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", metavar="INPUT", help="sequence folder, TUM RGB-D folder, rosbag2 folder, .mcap or .db3"
    )
    parser.add_argument(
        "--rate", metavar="X", type=float, default=_DEFAULT.rate, help="speed; 2 is twice as fast (default %(default)s)"
    )
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for nodes that run with use_sim_time")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play the recording. Returns the exit code. Raises CommandError."""
    if not 0.01 <= args.rate <= 100:
        raise CommandError(f"--rate must lie in 0.01..100, got {args.rate}")
    # Only here, because ROS takes a while to import.
    from neuralfusion_ros.nodes.replay_node import run_replay

    parameters = ReplayParameters(input=args.input, rate=args.rate, loop=args.loop, clock=args.clock)
    return run_replay(parameters, partial(progress, "playing"))
