# SPDX-License-Identifier: Apache-2.0
"""The life of a node's process: start, spin, end cleanly on a signal, exit code."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from typing import Protocol

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

OK, BROKEN, BAD_INPUT = 0, 1, 2

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Runnable(Protocol):
    """What `run_node` needs of a node, besides being one.

    begin: called before the first callback; `finish(exit_code)` ends the process, from any thread.
    end: called after the last callback; stops and joins every thread of the node.
    """

    def begin(self, finish: Callable[[int], None]) -> None: ...

    def end(self) -> None: ...


def check_arguments(program: str, description: str, args: list[str] | None) -> list[str]:
    """The arguments of a node's `main`, after answering --help and refusing whatever is not a ROS argument."""
    args = sys.argv[1:] if args is None else args
    parser = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} [--ros-args ...]",
        description=description,
        epilog=f"example: {program} --ros-args --params-file config/default.yaml (parameters: docs/parameters.md)",
    )
    try:
        unknown = parser.parse_known_args(remove_ros_args(args))[1]
    except RuntimeError as error:
        raise SystemExit(_refuse(program, error)) from error
    if unknown:
        _complain(program, f"unknown argument {unknown[0]}; parameters are given after --ros-args")
        raise SystemExit(BAD_INPUT)
    return args


def run_node(program: str, make_node: Callable[[], Runnable], args: list[str]) -> int:
    """Runs a node in this process until it finishes or SIGINT or SIGTERM comes. Returns the exit code.

    Must be called from the main thread. Errors of this package that the node raises before its first callback are
    the user's: one line, exit code 2.
    """
    # The only queue of Python that a signal handler may safely put into.
    finished: SimpleQueue[int] = SimpleQueue()
    with _signals_put(finished):
        try:
            # Without rclpy's own handlers, which would take the topics away from a worker in the middle of its work.
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            node = make_node()
        except Exception as error:
            rclpy.try_shutdown()
            return _refuse(program, error)
        try:
            return _run(node, finished)
        except Exception as error:
            return _refuse(program, error)
        finally:
            node.end()
            node.destroy_node()  # type: ignore[attr-defined]
            rclpy.try_shutdown()


def _run(node: Runnable, finished: SimpleQueue[int]) -> int:
    node.begin(finished.put)
    with _spinning(node, finished):
        return finished.get()


@contextmanager
def _spinning(node: Node, finished: SimpleQueue[int]) -> Iterator[None]:
    """Callbacks run in their own thread, because Python handles signals only in an unblocked main thread."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop = Event()

    def spin() -> None:
        try:
            while not stop.is_set():
                executor.spin_once()
        except Exception as error:
            node.get_logger().error(f"the node ends: {type(error).__name__}: {error}")
            finished.put(BROKEN)

    thread = Thread(target=spin, name="executor")
    thread.start()
    try:
        yield
    finally:
        executor.create_task(stop.set)
        thread.join()
        executor.shutdown()


@contextmanager
def _signals_put(finished: SimpleQueue[int]) -> Iterator[None]:
    before = [signal.signal(number, lambda *_: finished.put(OK)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _refuse(program: str, error: Exception) -> int:
    """One line for an error of the user's; anything else is a fault of this program and is raised."""
    from_rcl = isinstance(error, RuntimeError) and type(error).__module__.startswith("rclpy")
    if not (from_rcl or isinstance(error, OSError) or type(error).__module__.startswith("neuralfusion_ros.")):
        raise error
    if type(error).__name__ == "UnknownROSArgsError":
        error = ValueError(f"unknown ROS argument: {error}")
    # rcl adds the places in its C code.
    _complain(program, " ".join(str(error).split(", at /")[0].split()))
    return BAD_INPUT


def _complain(program: str, text: str) -> None:
    print(f"{program}: error: {text}", file=sys.stderr)
