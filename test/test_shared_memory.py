# SPDX-License-Identifier: Apache-2.0
"""Tests leave nothing in shared memory, and take nothing away from others."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")
_NODE = """
import rclpy, sys
rclpy.init()
node = rclpy.create_node("short_lived")
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def node_process(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process with a node. It ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", _NODE], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline().strip() == "ready"
        yield process


def own_segments(process: subprocess.Popen[str]) -> set[str]:
    """Names of the segments that a process made: it holds their locks. Those of ports belong to all of a domain."""
    held = {file.resolve() for file in Path(f"/proc/{process.pid}/fd").iterdir()}
    names = {path.name.removesuffix("_el") for path in held if path.parent == _SHARED_MEMORY}
    return {name for name in names if name.startswith("fastdds_") and "port" not in name}


def mapped_segments(process: subprocess.Popen[str]) -> set[str]:
    """Names of the segments that a process has opened, its own and those of the nodes that it met."""
    return {Path(line.split()[-1]).name for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()}


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_what_a_killed_node_left_is_removed_and_nothing_of_a_living_one(ros_env, remove_segments):
    with node_process(ros_env) as living, node_process(ros_env) as killed:
        theirs, names = own_segments(living), own_segments(killed)
        assert theirs and names and not theirs & names
        wait_until(lambda: bool(mapped_segments(killed) & theirs))
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
        assert all((_SHARED_MEMORY / name).exists() for name in names)

        def removed() -> bool:
            # Others look at the lock, too, to see whether its owner lives, and hold it for a moment.
            remove_segments(names | theirs)
            return not any((_SHARED_MEMORY / name).exists() for name in names)

        wait_until(removed)
        assert all((_SHARED_MEMORY / name).exists() for name in theirs)
