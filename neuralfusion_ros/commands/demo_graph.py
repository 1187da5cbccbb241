# SPDX-License-Identifier: Apache-2.0
"""The demo's ROS graph: three nodes as processes, from their start until the whole recording is mapped and saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from std_srvs.srv import Trigger

from neuralfusion_ros.commands.demo_plan import DemoPlan
from neuralfusion_ros.commands.demo_watcher import DemoWatcher
from neuralfusion_ros.commands.mapping_graph import FUSION, START_LIMIT_S, TRANSLATOR, MappingGraph, frames_done
from neuralfusion_ros.commands.node_processes import NodeFailure
from neuralfusion_ros.commands.progress import progress

REPLAY = "replay_node"
_SETTLE_LIMIT_S = 60.0
_OUTPUT_LIMIT_S = 20.0


class DemoGraph(MappingGraph):
    """The nodes of one demo. Every method raises NodeFailure or CommandError as soon as a node fails."""

    _watcher: DemoWatcher

    def play(self, plan: DemoPlan) -> float:
        """Play the recording and wait until all of it is mapped and shown. Returns the seconds that this took."""
        begin_s = time.monotonic()
        self._nodes.start(REPLAY, {"input": str(plan.recording), "rate": plan.rate})
        with progress("mapping", plan.frames) as advance:
            shown = 0

            def ended() -> bool:
                nonlocal shown
                done = min(frames_done(self.said(FUSION)), plan.frames)
                if done > shown:
                    advance(done - shown)
                    shown = done
                return self._nodes.has_ended(REPLAY)

            self.require(ended, plan.duration_s + START_LIMIT_S, REPLAY, "has not ended")
            settled = _Settled(self.said)

            def done() -> bool:
                if ended() and settled():
                    return True
                advance(0, f"replay has ended, the map {settled}")
                return False

            self.require(done, _SETTLE_LIMIT_S, TRANSLATOR, settled)
        self.require(lambda: self._watcher.markers > 0, _OUTPUT_LIMIT_S, TRANSLATOR, "sent no markers")
        self.require(lambda: self._watcher.tsdf_points > 0, _OUTPUT_LIMIT_S, TRANSLATOR, "sent no TSDF")
        return round(time.monotonic() - begin_s, 1)

    def save_mesh(self) -> None:
        """Have the translator write its mesh."""
        client = self._watcher.save_mesh
        self.require(client.service_is_ready, START_LIMIT_S, TRANSLATOR, "has no service save_mesh")
        answer = client.call_async(Trigger.Request())
        self.require(answer.done, _SETTLE_LIMIT_S, TRANSLATOR, "has not saved the mesh")
        if not answer.result().success:
            raise NodeFailure(f"{TRANSLATOR} could not save the mesh: {answer.result().message}")


class _Settled:
    """True once the fusion node has done all that came, and the translator has translated all of that.

    said: what a node last said; the same object as long as it has said nothing new. As text: what is still missing.
    """

    def __init__(self, said: Callable[[str], Mapping[str, str]]) -> None:
        self._said = said
        self._before = self._latest = said(FUSION)

    def __call__(self) -> bool:
        fusion = self._said(FUSION)
        if fusion is not self._latest:
            self._before, self._latest = self._latest, fusion
        # What comes and what goes must have rested for a while: the node collects changes before it sends them.
        rests = self._before is not fusion and all(
            self._before.get(key) == fusion.get(key) for key in ("received", "map_id", "sequence")
        )
        return rests and not self._missing()

    def __str__(self) -> str:
        return f"is not up to date ({', '.join(self._missing()) or 'the map still changes'})"

    def _missing(self) -> list[str]:
        fusion, translator = self._said(FUSION), self._said(TRANSLATOR)
        frames = int(fusion.get("received", 0)) - frames_done(fusion)
        counts = {
            "frames wait": frames,
            "blocks wait to be sent": int(fusion.get("blocks_to_send", 0)),
            "messages wait": int(translator.get("waiting_messages", 0)),
            "blocks wait for translation": int(translator.get("waiting_blocks", 0)),
        }
        missing = [f"{count} {what}" for what, count in counts.items() if count > 0]
        # The fusion node tells the number of its next message, the translator that of the last one.
        behind = int(fusion.get("sequence", 0)) - int(translator.get("sequence", -1)) - 1
        if behind or translator.get("map_id") != fusion.get("map_id"):
            missing.append(f"{behind} messages are on their way")
        return missing
