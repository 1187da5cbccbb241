# SPDX-License-Identifier: Apache-2.0
"""What both mapping nodes share: the lifecycle, autostart, diagnostics, statistics, the model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from neuralfusion_ros.mapping.model import LatentModel, ModelError, load_model
from neuralfusion_ros.nodes.declared_parameters import declare_parameters, refuse_contradictions, warn_of_unknown
from neuralfusion_ros.nodes.diagnostics import Report, diagnostic_array
from neuralfusion_ros.nodes.parameters import CommonParameters
from neuralfusion_ros.nodes.ros_parameter import ParameterError
from neuralfusion_ros.nodes.services import create_trigger, failed
from neuralfusion_ros.nodes.still_clock import StillClock
from neuralfusion_ros.nodes.throttled_log import ThrottledLog

BAD_INPUT = 2

_DIAGNOSTICS_PERIOD_S = 1.0
_PROBLEM_LOG_PERIOD_S = 10.0


class MappingNode(LifecycleNode):
    """A lifecycle node that can start itself.

    The subclass says what happens in `set_up` and `tear_down` (model and map), `go` and `halt` (topics and worker)
    and what there is to tell in `report`. Entities made in `go` are registered with `keep` and destroyed after `halt`.
    """

    def __init__(self, name: str, kind: type[CommonParameters]) -> None:
        super().__init__(name)
        declare_parameters(self, kind)
        refuse_contradictions(self, kind)
        warn_of_unknown(self)
        self.add_post_set_parameters_callback(self._on_parameters)
        self._is_set_up = self.is_active = self._is_finalized = False
        self._destroyers: list[Callable[[], Any]] = []
        # Timers of ROS time would stand still while a simulation or a recording is paused.
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._still_clock = StillClock(self.get_clock())
        self._problem_log = ThrottledLog(self.get_logger(), _PROBLEM_LOG_PERIOD_S)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=self.steady_clock)

    @abstractmethod
    def set_up(self) -> None:
        """Loads the model and makes an empty map. Raises ParameterError or ModelError."""

    @abstractmethod
    def change(self) -> None:
        """Reads the parameters again, some of which have changed since `set_up`."""

    @abstractmethod
    def go(self) -> None:
        """Subscribes and, last of all, starts the worker."""

    @abstractmethod
    def halt(self) -> None:
        """Stops and joins the worker."""

    @abstractmethod
    def tear_down(self) -> None:
        """Frees what `set_up` made."""

    @abstractmethod
    def report(self) -> Report:
        """What the set-up node tells on /diagnostics."""

    def offer(self, services: Mapping[str, Callable[[], Future[str]]]) -> None:
        """Trigger services that answer in every state of the node; the work is done while it is active."""
        for name, job in services.items():
            create_trigger(self, f"~/{name}", partial(self._when_active, job))

    def _when_active(self, job: Callable[[], Future[str]]) -> Future[str]:
        if self.is_active:
            return job()
        return failed(RuntimeError(f"The node is {self._state_name()}, not active: nothing was done."))

    def keep(self, entity: Any, destroy: Callable[[Any], Any]) -> Any:
        """Has an entity destroyed when the node is deactivated; returns it."""
        self._destroyers.append(lambda: destroy(entity))
        return entity

    def publisher_for_viewers(
        self, kind: type[Any], topic: str, qos: QoSProfile, viewer_came: Callable[[], None]
    ) -> Publisher:
        """A publisher that tells about every new subscriber."""

        def matched(info: Any) -> None:
            if info.total_count_change > 0:
                viewer_came()

        return self.create_publisher(kind, topic, qos, event_callbacks=PublisherEventCallbacks(matched=matched))

    def begin(self, finish: Callable[[int], None]) -> None:
        """Configures and activates the node if `autostart` is set; ends the process when that fails."""
        if not self.get_parameter("autostart").value:
            return
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                finish(BAD_INPUT)
                return

    def end(self) -> None:
        """Stops everything, whatever state the node is in."""
        self._stop()
        if self._is_set_up:
            self.tear_down()
            self._is_set_up = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self._stop)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self.end)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self._finalize)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self.end)

    def _configure(self) -> None:
        self.set_up()
        self._is_set_up = True

    def _activate(self) -> None:
        self.go()
        self.is_active = True

    def _finalize(self) -> None:
        self.end()
        self._is_finalized = True

    def _stop(self) -> None:
        if self.is_active:
            self.is_active = False
            self.halt()
        while self._destroyers:
            self._destroyers.pop()()

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        """rclpy would swallow the exception."""
        try:
            step()
        except (ParameterError, ModelError) as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().error(f"{type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _on_parameters(self, changed: list[Parameter]) -> None:
        if self._is_set_up:
            self._attempt(self.change)

    def _publish_diagnostics(self) -> None:
        report = self.report() if self._is_set_up else Report()
        report.values = {"state": self._state_name(), **report.values}
        still = self._still_clock.problem()
        if not self.is_active:
            report.problem = ""
        if report.problem:
            report.problem = still or report.problem  # of the two, the cause
            self._problem_log.warn(report.problem.split(":")[0], report.problem)
        names = (self.get_name(), self.get_fully_qualified_name())
        self._diagnostics.publish(diagnostic_array(*names, self.get_clock().now().to_msg(), report))

    def _state_name(self) -> str:
        if self._is_set_up:
            return "active" if self.is_active else "inactive"
        return "finalized" if self._is_finalized else "unconfigured"


def load_model_for(parameters: CommonParameters) -> tuple[LatentModel, torch.device]:
    """The model on the device that the parameters ask for. Raises ModelError or ParameterError."""
    has_gpu = torch.cuda.is_available()
    if parameters.device == "cuda" and not has_gpu:
        raise ParameterError("device is 'cuda', but this machine has no GPU that torch can use")
    device = torch.device("cuda" if has_gpu and parameters.device != "cpu" else "cpu")
    return load_model(parameters.model, device), device
