# SPDX-License-Identifier: Apache-2.0
"""When the demo takes the map for finished, and when it gives up waiting, with nodes that only pretend."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from neuralfusion_ros.commands.demo_graph import REPLAY, DemoGraph
from neuralfusion_ros.commands.demo_plan import DemoPlan
from neuralfusion_ros.commands.demo_watcher import DemoWatcher
from neuralfusion_ros.commands.mapping_graph import FUSION, TRANSLATOR
from neuralfusion_ros.commands.node_processes import NodeFailure, NodeProcesses

PLAN = DemoPlan(Path("recording"), 10, np.array([0.0, 0.0, 1.0]), 1.0, 1.0)
BUSY = {"received": 10, "integrated": 7, "dropped": 1, "rejected": 0, "blocks_to_send": 4, "map_id": 5, "sequence": 20}
DONE = BUSY | {"integrated": 8, "rejected": 1, "blocks_to_send": 0, "sequence": 22}
FOLLOWS = {"map_id": 5, "sequence": 21, "waiting_messages": 0, "waiting_blocks": 0}


class Nodes:
    """Processes that have done nothing; the replay has ended."""

    def start(self, name: str, parameters: object) -> None: ...

    def check(self) -> None: ...

    def has_ended(self, name: str) -> bool:
        return name == REPLAY

    def log(self, name: str) -> Path:
        return Path(f"{name}.log")


class Watcher:
    """Says one thing after the other, as both nodes would; every wait lasts three of them."""

    markers = tsdf_points = 1

    def __init__(self, *said: tuple[dict[str, int], dict[str, int]]) -> None:
        self._said = list(said)
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.used = 0

    def wait(self, condition: Callable[[], bool], limit_s: float) -> bool:
        for _ in range(3):
            if condition():
                return True
            fusion, translator = self._said[min(self.used, len(self._said) - 1)]
            self.used += 1
            texts = [{key: str(value) for key, value in node.items()} for node in (fusion, translator)]
            self.diagnostics = dict(zip((FUSION, TRANSLATOR), texts, strict=True))
        return condition()


def play(watcher: Watcher) -> None:
    DemoGraph(cast(NodeProcesses, Nodes()), cast(DemoWatcher, watcher)).play(PLAN)


def test_the_map_is_finished_when_both_nodes_are_done_and_nothing_moves() -> None:
    watcher = Watcher((BUSY, FOLLOWS), (DONE, FOLLOWS | {"sequence": 20}), (DONE, FOLLOWS), (DONE, FOLLOWS))
    play(watcher)
    # The second time that the fusion node says the same, with a translator that follows.
    assert watcher.used == 3


@pytest.mark.parametrize(
    ("fusion", "translator", "missing"),
    [
        ({"integrated": 7}, {}, "1 frames wait"),
        ({"blocks_to_send": 4}, {}, "4 blocks wait to be sent"),
        ({}, {"waiting_messages": 2}, "2 messages wait"),
        ({}, {"waiting_blocks": 300}, "300 blocks wait for translation"),
        ({}, {"sequence": 19}, "2 messages are on their way"),
        ({}, {"map_id": 4}, "0 messages are on their way"),
    ],
)
def test_a_node_that_hangs_is_named_with_what_is_missing(
    fusion: dict[str, Any], translator: dict[str, Any], missing: str
) -> None:
    with pytest.raises(NodeFailure) as failure:
        play(Watcher((DONE | fusion, FOLLOWS | translator)))
    assert f"translator_node is not up to date ({missing}) after 60 s; see translator_node.log" in str(failure.value)


def test_a_slow_node_is_waited_for_as_long_as_it_advances() -> None:
    slowly = [(DONE, FOLLOWS | {"waiting_blocks": count}) for count in range(20, 0, -1)]
    watcher = Watcher(*slowly, (DONE, FOLLOWS))
    play(watcher)
    assert watcher.used == 21


def test_what_is_waited_for_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    shown = nullcontext(lambda count=1, note="": notes.append(note))
    monkeypatch.setattr("neuralfusion_ros.commands.demo_graph.progress", lambda label, total: shown)
    play(Watcher((DONE, FOLLOWS | {"waiting_blocks": 7}), (DONE, FOLLOWS), (DONE, FOLLOWS)))
    assert "replay has ended, the map is not up to date (7 blocks wait for translation)" in notes


def test_nothing_shown_is_a_failure() -> None:
    watcher = Watcher((DONE, FOLLOWS))
    watcher.markers = 0
    with pytest.raises(NodeFailure, match="translator_node sent no markers after 20 s"):
        play(watcher)
