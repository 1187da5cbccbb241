# SPDX-License-Identifier: Apache-2.0
"""The two mapping nodes as processes that a command starts and watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from neuralfusion_ros.commands.node_processes import NodeFailure, NodeProcesses

FUSION, TRANSLATOR = "fusion_node", "translator_node"
START_LIMIT_S = 90.0

_NOTHING: Mapping[str, str] = {}

Parameters = Mapping[str, bool | float | str]


class Watcher(Protocol):
    """What a graph needs of the node that looks on. diagnostics: node -> what it last said, a new object each time."""

    diagnostics: dict[str, dict[str, str]]

    def wait(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Receive until `condition` holds; False when it does not after `limit_s`."""


class MappingGraph:
    """Every method raises NodeFailure or CommandError as soon as a node fails."""

    def __init__(self, nodes: NodeProcesses, watcher: Watcher) -> None:
        self._nodes, self._watcher = nodes, watcher

    def start(self, fusion: Parameters, translator: Parameters) -> None:
        """Start the two mapping nodes and wait until they are active."""
        self._nodes.start(FUSION, fusion)
        self._nodes.start(TRANSLATOR, translator)
        for node in (FUSION, TRANSLATOR):
            self.require(partial(self._is_active, node), START_LIMIT_S, node, "is not active")

    def said(self, node: str) -> Mapping[str, str]:
        """What a node last told about itself; nothing before the first time."""
        return self._watcher.diagnostics.get(node, _NOTHING)

    def require(self, condition: Callable[[], bool], limit_s: float, node: str, failure: object) -> None:
        """Wait for the condition. failure: what the node has not done, as text; while it changes, there is hope."""

        def checked() -> bool:
            self._nodes.check()
            return condition()

        text = str(failure)
        while not self._watcher.wait(checked, limit_s):
            if str(failure) == text:
                raise NodeFailure(f"{node} {text} after {limit_s:.0f} s; see {self._nodes.log(node)}")
            text = str(failure)

    def _is_active(self, node: str) -> bool:
        return self.said(node).get("state") == "active"


def frames_done(fusion: Mapping[str, str]) -> int:
    """Frames that the fusion node has used or left out. fusion: what it said."""
    return sum(int(fusion.get(key, 0)) for key in ("integrated", "dropped", "rejected"))
