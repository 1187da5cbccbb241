# SPDX-License-Identifier: Apache-2.0
"""The parameters of a running node: declared with their limits, checked and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from neuralfusion_ros.nodes.parameters import CommonParameters, parameters_of
from neuralfusion_ros.nodes.ros_parameter import Parameter, ParameterError, limits_text

P = TypeVar("P")

_MOUNTING = ".camera_mounting"
_OF_ROS = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare_parameters(node: Node, kind: type[Any]) -> None:
    """Declares the parameters of `kind` with their descriptors. Raises ParameterError when an override is refused."""
    parameters = parameters_of(kind)
    choices = {parameter.name: parameter.choices for parameter in parameters if parameter.choices}
    node.add_on_set_parameters_callback(lambda changed: _check_choices(choices, changed))
    for parameter in parameters:
        try:
            node.declare_parameter(parameter.name, parameter.default, descriptor(parameter))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(str(error)) from error


def refuse_contradictions(node: Node, kind: type[CommonParameters]) -> None:
    """From now on, the declared parameters cannot be changed to values that do not go together."""

    def check(changed: Sequence[RosParameter]) -> SetParametersResult:
        new = {parameter.name: parameter.value for parameter in changed}
        values = {name: new.get(name, value) for name, value in asdict(read_parameters(node, kind)).items()}
        try:
            kind(**values).check()
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def read_parameters(node: Node, kind: type[P]) -> P:
    """The values that a node's declared parameters have now."""
    return kind(**{parameter.name: _value(node, parameter) for parameter in parameters_of(kind)})


def _value(node: Node, parameter: Parameter) -> Any:
    if not isinstance(parameter.default, tuple):
        return node.get_parameter(parameter.name).value
    try:
        return tuple(node.get_parameter(parameter.name).value)
    except ParameterUninitializedException:  # what becomes of an empty list
        return parameter.default


def declare_mountings(node: Node, cameras: Sequence[str], default: str) -> dict[str, str]:
    """The mounting of each camera, from a parameter of its own where it has one. Raises ParameterError."""
    description = ParameterDescriptor(description="As camera_mounting, of this camera.", read_only=True)
    mountings = {}
    for camera in cameras:
        name = f"{camera}{_MOUNTING}"
        try:
            if not node.has_parameter(name):
                node.declare_parameter(name, default, description)
        except InvalidParameterTypeException as error:
            raise ParameterError(str(error)) from error
        mountings[camera] = str(node.get_parameter(name).value)
    return mountings


def warn_of_unknown(node: Node, mountings: bool = False) -> None:
    """One warning for every parameter that was given and that the node does not have, as when it is misspelt.

    mountings: look at the mountings of cameras alone, which are declared when their names are known; by default at all
    others.
    """
    declared = node.get_parameters_by_prefix("")
    for name in sorted(node._parameter_overrides.keys() - declared.keys()):  # rclpy shows them nowhere else
        if name.endswith(_MOUNTING) != mountings or name.startswith(_OF_ROS):
            continue
        near = get_close_matches(name, declared, 1)
        hint = f"did you mean {near[0]}?" if near else "`ros2 param list` shows those there are"
        node.get_logger().warning(f"there is no parameter {name}, it is ignored: {hint}")


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What ROS tools show about a parameter, and the range that rclpy enforces."""
    result = ParameterDescriptor(
        description=parameter.description, read_only=parameter.read_only, additional_constraints=limits_text(parameter)
    )
    if parameter.minimum is None or parameter.maximum is None:
        return result
    if isinstance(parameter.default, int):
        limits = IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum))
        result.integer_range = [limits]
    else:
        limits = FloatingPointRange(from_value=float(parameter.minimum), to_value=float(parameter.maximum))
        result.floating_point_range = [limits]
    return result


def _check_choices(choices: dict[str, tuple[str, ...]], changed: Sequence[RosParameter]) -> SetParametersResult:
    for parameter in changed:
        allowed = choices.get(parameter.name)
        if allowed and parameter.value not in allowed:
            reason = f"{parameter.name} must be one of {', '.join(allowed)}, not {parameter.value!r}"
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)
