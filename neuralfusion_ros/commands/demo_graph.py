# SPDX-License-Identifier: Apache-2.0
"""The demo's ROS graph: three nodes as processes, from their start until the whole recording is mapped and saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from std_srvs.srv import Trigger

from neuralfusion_ros.commands.demo_plan import DemoPlan
from neuralfusion_ros.commands.demo_watcher import DemoWatcher
from neuralfusion_ros.commands.node_processes import NodeFailure, NodeProcesses
from neuralfusion_ros.commands.progress import progress

FUSION, TRANSLATOR, REPLAY = "fusion_node", "translator_node", "replay_node"
_START_LIMIT_S = 90.0
_SETTLE_LIMIT_S = 120.0
_OUTPUT_LIMIT_S = 20.0

Parameters = Mapping[str, bool | float | str]


class DemoGraph:
    """The nodes of one demo. Every method raises NodeFailure or CommandError as soon as a node fails."""

    def __init__(self, nodes: NodeProcesses, watcher: DemoWatcher) -> None:
        self._nodes, self._watcher = nodes, watcher

    def start(self, fusion: Parameters, translator: Parameters) -> None:
        """Start the two mapping nodes and wait until they are active."""
        self._nodes.start(FUSION, fusion)
        self._nodes.start(TRANSLATOR, translator)
        for node in (FUSION, TRANSLATOR):
            self._require(partial(self._is_active, node), _START_LIMIT_S, node, "is not active")

    def play(self, plan: DemoPlan) -> float:
        """Play the recording and wait until all of it is mapped and shown. Returns the seconds that this took."""
        begin_s = time.monotonic()
        self._nodes.start(REPLAY, {"input": str(plan.recording), "rate": plan.rate})
        with progress("mapping", plan.frames) as advance:
            shown = 0

            def ended() -> bool:
                nonlocal shown
                done = min(_frames_done(self._said(FUSION)), plan.frames)
                if done > shown:
                    advance(done - shown)
                    shown = done
                return self._nodes.has_ended(REPLAY)

            self._require(ended, plan.duration_s + _START_LIMIT_S, REPLAY, "has not ended")
            self._require(_Settled(self._said), _SETTLE_LIMIT_S, TRANSLATOR, "is not up to date")
            ended()
        self._require(lambda: self._watcher.markers > 0, _OUTPUT_LIMIT_S, TRANSLATOR, "sent no markers")
        self._require(lambda: self._watcher.tsdf_points > 0, _OUTPUT_LIMIT_S, TRANSLATOR, "sent no TSDF")
        return round(time.monotonic() - begin_s, 1)

    def save_mesh(self) -> None:
        """Have the translator write its mesh."""
        client = self._watcher.save_mesh
        self._require(client.service_is_ready, _START_LIMIT_S, TRANSLATOR, "has no service save_mesh")
        answer = client.call_async(Trigger.Request())
        self._require(answer.done, _SETTLE_LIMIT_S, TRANSLATOR, "has not saved the mesh")
        if not answer.result().success:
            raise NodeFailure(f"{TRANSLATOR} could not save the mesh: {answer.result().message}")

    def _is_active(self, node: str) -> bool:
        return self._said(node).get("state") == "active"

    def _said(self, node: str) -> Mapping[str, str]:
        return self._watcher.diagnostics.get(node, {})

    def _require(self, condition: Callable[[], bool], limit_s: float, node: str, failure: str) -> None:
        def checked() -> bool:
            self._nodes.check()
            return condition()

        if not self._watcher.wait(checked, limit_s):
            raise NodeFailure(f"{node} {failure} after {limit_s:.0f} s; see {self._nodes.log(node)}")


class _Settled:
    """True once the fusion node has done all that came, and the translator has translated all of that.

    said: what a node last said; the same object as long as it has said nothing new.
    """

    def __init__(self, said: Callable[[str], Mapping[str, str]]) -> None:
        self._said = said
        self._before = self._latest = said(FUSION)

    def __call__(self) -> bool:
        fusion, translator = self._said(FUSION), self._said(TRANSLATOR)
        if fusion is not self._latest:
            self._before, self._latest = self._latest, fusion
        # What comes and what goes must have rested for a while: the node collects changes before it sends them.
        rests = self._before is not fusion and all(
            self._before.get(key) == fusion.get(key) for key in ("received", "map_id", "sequence")
        )
        return rests and _all_sent(fusion) and _follows(translator, fusion)


def _frames_done(fusion: Mapping[str, str]) -> int:
    return sum(int(fusion.get(key, 0)) for key in ("integrated", "dropped", "rejected"))


def _all_sent(fusion: Mapping[str, str]) -> bool:
    idle = all(fusion.get(key) == "0" for key in ("queue_length", "blocks_to_send"))
    return idle and _frames_done(fusion) >= int(fusion.get("received", 0))


def _follows(translator: Mapping[str, str], fusion: Mapping[str, str]) -> bool:
    idle = all(translator.get(key) == "0" for key in ("waiting_messages", "waiting_blocks"))
    # The fusion node tells the number of its next message, the translator that of the last one.
    same = int(translator.get("sequence", -1)) + 1 == int(fusion.get("sequence", 0))
    return idle and same and translator.get("map_id") == fusion.get("map_id")
