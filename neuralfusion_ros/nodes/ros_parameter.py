# SPDX-License-Identifier: Apache-2.0
"""What there is to say about one ROS parameter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Value = bool | int | float | str | tuple[str, ...]


class ParameterError(ValueError):
    """A parameter was given a value that it cannot have. The message is one line."""


@dataclass(frozen=True)
class Parameter:
    """One ROS parameter.

    minimum, maximum: both or neither. choices: the only strings accepted; empty if any is. read_only: set at start
    and never changed. nodes: names of the nodes that have it.
    """

    default: Value
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = True
    name: str = ""
    nodes: tuple[str, ...] = ()


def parameter(default: Value, description: str, **more: Any) -> Any:
    """A dataclass field that is a ROS parameter."""
    return field(default=default, metadata={"parameter": Parameter(default, description, **more)})


def limits_text(parameter: Parameter) -> str:
    """Such as "0.1 to 5 m", "one of: a, b" or nothing."""
    if parameter.choices:
        return f"one of: {', '.join(parameter.choices)}"
    if parameter.minimum is None:
        return parameter.unit
    number = ",d" if isinstance(parameter.default, int) else ",g"
    return f"{parameter.minimum:{number}} to {parameter.maximum:{number}} {parameter.unit}".rstrip()
