# SPDX-License-Identifier: Apache-2.0
"""The live view of a demo: `neuralfusion view` as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy.typing as npt

from neuralfusion_ros.commands.picture_options import nearest_axis

_STOP_S = 20.0


@contextmanager
def live_view(wanted: bool, up: npt.ArrayLike) -> Iterator[subprocess.Popen[bytes] | None]:
    """The running view, which ends with the block; None if it is not wanted. up: (3,) about upwards in the world."""
    if not wanted:
        yield None
        return
    # In a session of its own: Ctrl-C is for the demo first. What it prints, its address, is for the user.
    command = [sys.executable, "-m", "neuralfusion_ros.cli", "view", f"--up={nearest_axis(up)}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stay(process: subprocess.Popen[bytes] | None) -> None:
    """Until Ctrl-C, or until the view has ended."""
    if process is None or process.poll() is not None:
        return
    print("the live view stays; Ctrl-C ends it", flush=True)
    try:
        process.wait()
    except KeyboardInterrupt:
        return
