# SPDX-License-Identifier: Apache-2.0
"""The command `neuralfusion`. Each subcommand is one file of `commands/`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

from neuralfusion_ros import __version__

# Name and what --help says. The files are imported only when wanted: torch alone takes seconds.
_COMMANDS = {
    "fuse": "make a mesh from a recording, without ROS",
    "render": "make a picture of a mesh, without a display",
    "compare": "show meshes side by side, and how far each is from a reference",
    "demo": "run the whole ROS graph on a recording, its own or yours",
    "replay": "publish a recording on ROS topics",
    "view": "show a running graph on a web page",
    "doctor": "say what is missing in a running graph",
    "record": "turn a recording into a rosbag2 folder (mcap)",
    "train": "train the networks from a seed",
    "evaluate": "measure maps against the truth and against plain TSDF fusion",
    "benchmark": "measure what a frame costs, beside Open3D",
}
_EXAMPLE = """example:
  neuralfusion fuse data/kitchen --output kitchen.ply
  neuralfusion fuse --help"""
_BAD_INPUT = 2
_INTERRUPTED = 130
_NOBODY_READS = 141  # as a shell has it for a program that SIGPIPE ended
_TERMINATED = 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM. What Ctrl-C cleans up, it cleans up too: files written aside, nodes that were started."""


class _Parser(argparse.ArgumentParser):
    asked = ""  # the command that is asked for; argparse has its unknown options refused by the parser of all commands

    def error(self, message: str) -> NoReturn:
        """One line, as for every other mistake of the user; argparse would print the usage as well."""
        self.exit(_BAD_INPUT, f"neuralfusion: error: {message} (see {self.asked or self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; only in the main thread.

    Returns the exit code: 0, 1 for a check that failed, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM, 141 when
    whoever reads what it prints has gone.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        try:
            args = _parser(words).parse_args(words)
            return int(args.run(args))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    except (KeyboardInterrupt, Exception) as error:
        if stop := _stop_behind(error):
            return _TERMINATED if isinstance(stop, _Terminated) else _INTERRUPTED
        if not _is_for_the_user(error):
            raise
        print(f"neuralfusion: error: {' '.join(str(error).split())}", file=sys.stderr)
        return _BAD_INPUT
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The signal that led to an error: C++ libraries turn one that comes while they load into an ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _is_for_the_user(error: BaseException) -> bool:
    """Files and packages that are missing, and the errors of this package, whose messages are made to be read."""
    return isinstance(error, OSError | ImportError) or type(error).__module__.startswith("neuralfusion_ros.")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, complete for the command that is asked for and with only the names of the others."""
    parser = _Parser(
        prog="neuralfusion",
        description="Robot mapping with a learned latent map.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"neuralfusion {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name, summary in _COMMANDS.items():
        if name == wanted:
            import_module(f"neuralfusion_ros.commands.{name}").add_parser(subparsers)
            parser.asked = f"{parser.prog} {name}"
        else:
            subparsers.add_parser(name, help=summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())
