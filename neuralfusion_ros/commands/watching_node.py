# SPDX-License-Identifier: Apache-2.0
"""A ROS node of the command line that only looks on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


@contextmanager
def watching_node(name: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """The node and the executor that lets it receive. Raises RuntimeError when ROS cannot start."""
    try:
        # Ctrl-C is for the command line, which has other things to end first.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node(name, start_parameter_services=False, enable_rosout=False)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            yield node, executor
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
