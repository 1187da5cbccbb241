# SPDX-License-Identifier: Apache-2.0
"""Executes launch files with stand-ins for ROS's launch that write down what the files ask for."""

from __future__ import annotations

import runpy
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IMPORTED = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": [
        *("DeclareLaunchArgument", "GroupAction", "IncludeLaunchDescription"),
        *("LogInfo", "OpaqueFunction", "SetEnvironmentVariable"),
    ],
    "launch.conditions": ["IfCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["EnvironmentVariable", "LaunchConfiguration"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
}


@dataclass
class Asked:
    """One object that a launch file made: its class's name and arguments."""

    kind: str
    args: tuple[Any, ...]
    options: dict[str, Any]

    def perform(self, context):
        """What a LaunchConfiguration stands for; context: the values of all arguments."""
        return context[self.args[0]]

    def everything(self):
        """This object and all that it holds."""
        yield self
        waiting = [*self.args, *self.options.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Asked):
                yield from value.everything()
            elif isinstance(value, dict):
                waiting += [*value.keys(), *value.values()]
            elif isinstance(value, (list, tuple)):
                waiting += value


class AllAsked(list[Asked]):
    """All objects that launch files made."""

    def of_kind(self, kind: str) -> list[Asked]:
        return [item for item in self if item.kind == kind]


class Reader:
    """reader(path): what a launch file asks for."""

    def __call__(self, path: Path) -> AllAsked:
        return AllAsked(runpy.run_path(str(path))["generate_launch_description"]().everything())

    def with_included(self, path: Path) -> AllAsked:
        """What a launch file and all that it includes ask for."""
        found = self(path)
        for item in found.of_kind("PythonLaunchDescriptionSource"):
            found += self.with_included(Path(item.args[0]))
        return found

    def defaults_of(self, path: Path) -> dict[str, Any]:
        """The arguments' values when none is given. The first that is declared counts."""
        declared = self.with_included(path).of_kind("DeclareLaunchArgument")
        return {item.args[0]: item.options.get("default_value") for item in reversed(declared)}

    def used_names(self, path: Path) -> set[str]:
        """The arguments that the functions of a launch file look up when it runs."""
        source = path.read_text() if self(path).of_kind("OpaqueFunction") else ""
        return {name for name in runpy.run_path(str(path)).get("ARGUMENTS", {}) if source.count(f'"{name}"') > 1}


@pytest.fixture
def asked(monkeypatch):
    """Reads launch files, as on a machine with a display."""
    monkeypatch.setenv("DISPLAY", ":0")
    for module, names in IMPORTED.items():
        stand_in = types.ModuleType(module)
        for name in names:
            setattr(stand_in, name, lambda *args, kind=name, **options: Asked(kind, args, options))
        monkeypatch.setitem(sys.modules, module, stand_in)
    return Reader()
