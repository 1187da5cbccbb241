# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own, on a ROS domain of their own, with their output in files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from neuralfusion_ros.commands.dds_profile import set_dds_profile
from neuralfusion_ros.commands.errors import CommandError

_PACKAGE = Path(__file__).resolve().parents[1]
_STOP_S = 20.0
# Domains that few people choose by hand, and whose ports the system does not hand out.
_DOMAINS = range(50, 101)


class NodeFailure(Exception):
    """Something did not work although the input was good. The message is one line and names the log file."""


def set_ros_environment() -> None:
    """Give this process, and those that it starts, a domain on this machine and the profile for large messages."""
    os.environ["ROS_DOMAIN_ID"] = str(random.choice(_DOMAINS))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # Processes started in the background of a shell inherit that SIGINT is ignored; the nodes need it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    set_dds_profile()


class NodeProcesses:
    """Starts nodes; on leaving the `with` block ends those that still run."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> NodeProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, parameters: Mapping[str, bool | float | str]) -> None:
        """Start the node of the file nodes/`name`.py; its output goes to `name`.log."""
        # --ros-args reads values as YAML, of which JSON is a part.
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={json.dumps(value)}")]
        command = [sys.executable, "-m", f"{_PACKAGE.name}.nodes.{name}", "--ros-args", *words]
        with self.log(name).open("wb") as log, _signals_wait():
            # In a session of its own, so that Ctrl-C reaches it from here and only once.
            self._processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def pid(self, name: str) -> int:
        """The process of a node."""
        return self._processes[name].pid

    def log(self, name: str) -> Path:
        """The file with a node's output."""
        return self._log_folder / f"{name}.log"

    def check(self) -> None:
        """Raise CommandError when a node ended with exit code 2, which means bad input, NodeFailure for another one."""
        for name, process in self._processes.items():
            code = process.poll()
            if code == 2:
                raise CommandError(self._last_line(name))
            if code:
                raise NodeFailure(f"{name} ended with exit code {code}; see {self.log(name)}")

    def has_ended(self, name: str) -> bool:
        """True once the node has ended by itself."""
        return self._processes[name].poll() is not None

    def stop(self) -> dict[str, int]:
        """End all nodes with SIGINT, those that do not obey by force. Returns their exit codes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        return {name: _ended(process) for name, process in self._processes.items()}

    def _last_line(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"{name} gave no reason")


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """A signal in the block takes effect at its end; a process whose start is interrupted would be left running."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
