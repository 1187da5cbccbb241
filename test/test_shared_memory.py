# SPDX-License-Identifier: Apache-2.0
"""Tests leave nothing in shared memory, and take nothing away from others."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

_NODE = """
import rclpy, sys
rclpy.init()
node = rclpy.create_node("short_lived")
print("ready", flush=True)
sys.stdin.readline()
"""


def segments_of(process: subprocess.Popen[str]) -> set[str]:
    """Names of the segments that Fast DDS made for a process."""
    mapped = {Path(line.split()[-1]) for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()}
    names = {path.name for path in mapped if path.parent == Path("/dev/shm")}
    # Those of ports are shared by all processes of a domain.
    return {name for name in names if name.startswith("fastdds_") and "port" not in name}


def test_what_a_killed_node_left_is_removed_and_nothing_of_a_living_one(ros_env, remove_segments):
    with subprocess.Popen(
        [sys.executable, "-c", _NODE], env=ros_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout
        assert node.stdout.readline().strip() == "ready"
        names = segments_of(node)
        remove_segments(names)
        files = [Path("/dev/shm") / name for name in names]
        assert files and all(file.exists() for file in files)
        node.send_signal(signal.SIGKILL)
        node.wait(30)
        assert all(file.exists() for file in files)
        # Others look at the lock, too, to see whether its owner lives, and hold it for a moment.
        end_s = time.monotonic() + 10
        while any(file.exists() for file in files) and time.monotonic() < end_s:
            remove_segments(names)
        assert not any(file.exists() for file in files)
