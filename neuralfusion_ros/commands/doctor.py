# SPDX-License-Identifier: Apache-2.0
"""neuralfusion doctor: what is missing in the running graph."""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING

from neuralfusion_ros.commands.doctor_checks import first_missing
from neuralfusion_ros.commands.doctor_snapshot import Snapshot
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.progress import PATIENCE_S, progress

if TYPE_CHECKING:
    from neuralfusion_ros.commands.doctor_gather import GraphWatcher

_LOOK_S = 0.5
_ENOUGH_MESSAGES = 3  # of /diagnostics, one a second, so that numbers had time to grow
_EXAMPLE = """example:
  neuralfusion doctor
  neuralfusion doctor --namespace robot1 --timeout 20

Looks at fusion_node, its inputs, translator_node and its outputs, and prints the first thing that is missing and what
to do about it. Exit code: 0 all is well, 1 something is missing, 2 bad arguments. Run it in the environment of the
nodes, with the same ROS_DOMAIN_ID; it changes nothing."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what is missing in a running graph",
        description="Look at the running graph and name the first thing that is missing.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--timeout", metavar="S", type=float, default=6.0, help="seconds to look at most (default %(default)s)"
    )
    parser.add_argument("--namespace", metavar="NS", help="of the nodes (default: the only one with a fusion node)")
    parser.add_argument("--fusion", metavar="NAME", default="fusion_node", help="default %(default)s")
    parser.add_argument("--translator", metavar="NAME", default="translator_node", help="default %(default)s")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line. Returns 0 when all is well, else 1. Raises CommandError."""
    if not 0 < args.timeout <= 3600:
        raise CommandError(f"--timeout must lie in 0..3600 s, got {args.timeout:g}")
    # Only here, because ROS takes a while to import.
    from neuralfusion_ros.commands.doctor_gather import GraphWatcher

    with GraphWatcher(args.fusion, args.translator, args.namespace) as watcher:
        snapshot, missing = _look(watcher, args.timeout)
    print(missing or _summary(snapshot))
    return 1 if missing else 0


def _look(watcher: GraphWatcher, timeout_s: float) -> tuple[Snapshot, str | None]:
    """The last of many looks, and what is missing then. Ends early once all is well."""
    begin_s = time.monotonic()
    with progress("looking, seconds", math.ceil(timeout_s), PATIENCE_S) as advance:
        shown_s = 0
        while True:
            watcher.receive(min(_LOOK_S, max(0.0, begin_s + timeout_s - time.monotonic())))
            snapshot = watcher.snapshot()
            missing = first_missing(snapshot)
            passed_s = time.monotonic() - begin_s
            if passed_s >= timeout_s or (missing is None and _seen_enough(snapshot)):
                return snapshot, missing
            advance(int(passed_s) - shown_s)
            shown_s = int(passed_s)


def _seen_enough(snapshot: Snapshot) -> bool:
    return snapshot.said[snapshot.fusion].messages >= _ENOUGH_MESSAGES


def _summary(snapshot: Snapshot) -> str:
    said = snapshot.said[snapshot.fusion]
    return (
        f"all is well: {snapshot.fusion} used {said.grew('integrated')} frames while this looked, "
        f"{said.last.get('ms_p50')} ms each on {said.last.get('device')}, {said.last.get('blocks')} blocks"
    )
