# SPDX-License-Identifier: Apache-2.0
"""A ROS node of the command line that only looks on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from neuralfusion_ros.commands.errors import CommandError

AnyNode = TypeVar("AnyNode", bound="WatchingNode")


class WatchingNode:
    """Joins the graph where its block begins and leaves it where it ends; hears only while one of its methods waits."""

    def __init__(self, name: str) -> None:
        self._name = name

    def subscribe(self) -> None:
        """Called once the node is there, to make what it hears with."""

    def __enter__(self: AnyNode) -> AnyNode:
        """Raises CommandError when ROS cannot start."""
        with ExitStack() as stack:
            stack.callback(rclpy.try_shutdown)
            try:
                # Ctrl-C is for the command line, which has other things to end first.
                rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
                self._node = rclpy.create_node(self._name, start_parameter_services=False, enable_rosout=False)
            except RuntimeError as error:
                # rcl adds the places in its C code.
                raise CommandError(f"ROS cannot start: {str(error).split(', at /')[0]}") from error
            stack.callback(self._node.destroy_node)
            self._executor = SingleThreadedExecutor()
            stack.callback(self._executor.shutdown)
            self._executor.add_node(self._node)
            self.subscribe()
            self._leave = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave.close()

    def receive(self, seconds: float) -> None:
        """Takes in messages for a while."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def wait(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Receive until `condition` holds; False when it does not after `limit_s`."""
        end_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end_s:
                return False
            self._executor.spin_once(timeout_sec=0.1)
        return True
