# SPDX-License-Identifier: Apache-2.0
"""Services whose answer comes from the worker thread, without keeping the other callbacks waiting."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, wait

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.service import Service
from std_srvs.srv import Trigger

_TURN_S = 0.001


class _NextTurn:
    """Awaiting it gives the other callbacks of the executor their turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def create_trigger(node: Node, name: str, job: Callable[[], Future[str]]) -> Service:
    """A Trigger service. job: hands the work in; the result of the work is the sentence of the answer.

    When the work raises, the answer is a failure with the text of the exception.
    """

    async def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        future = job()
        # Otherwise a sleeping executor would not look at this coroutine again.
        future.add_done_callback(lambda _: node.executor.wake())
        # An executor that asks again at once must not keep a core busy.
        while not wait([future], timeout=_TURN_S).done:
            await _NextTurn()
        response.success, response.message = _outcome(future)
        return response

    # A group of its own, because the other callbacks of its group wait until the answer is there.
    return node.create_service(Trigger, name, answer, callback_group=MutuallyExclusiveCallbackGroup())


def done(sentence: str) -> Future[str]:
    """For work that is done at once."""
    future: Future[str] = Future()
    future.set_result(sentence)
    return future


def failed(error: Exception) -> Future[str]:
    """For work that cannot begin."""
    future: Future[str] = Future()
    future.set_exception(error)
    return future


def _outcome(future: Future[str]) -> tuple[bool, str]:
    if future.cancelled():
        return False, "The node was stopped before this was done."
    error = future.exception()
    return (False, " ".join(str(error).split())) if error else (True, future.result())
