# SPDX-License-Identifier: Apache-2.0
"""neuralfusion record: turn a recording into a rosbag2 folder (mcap), without ROS."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame, Recording

_EXAMPLE = """example:
  neuralfusion record data/kitchen kitchen_bag
  ros2 bag info kitchen_bag

The bag holds /depth/image (16UC1, millimetres), /depth/camera_info, /pose (PoseStamped in the frame odom) and /tf."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "record",
        help="turn a recording into a rosbag2 folder (mcap)",
        description="Write the depth images and poses of a recording to a new rosbag2 folder (mcap).",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", metavar="INPUT", help="sequence folder, TUM RGB-D folder, rosbag2 folder, .mcap or .db3"
    )
    parser.add_argument("bag", metavar="BAG", type=Path, help="folder to create; it must not exist")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the bag and print what it holds. Raises RecordingError."""
    recording = open_recording(args.input)
    count = write_bag(args.bag, recording.camera, _with_progress(recording))
    size_mb = sum(file.stat().st_size for file in args.bag.iterdir()) / 1e6
    left_out = ", ".join(f"{number} ({reason})" for reason, number in recording.rejected.most_common()) or "none"
    print(f"{args.bag}: {count} frames, {size_mb:.1f} MB; left out: {left_out}")
    return 0


def _with_progress(recording: Recording) -> Iterator[Frame]:
    """The frames, and how far they have come, on stderr."""
    with progress("recording", len(recording)) as advance:
        for frame in recording:
            yield frame
            advance()
