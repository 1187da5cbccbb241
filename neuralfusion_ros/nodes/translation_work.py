# SPDX-License-Identifier: Apache-2.0
"""The work of the translator node: follow the stream of blocks, translate what changed, send what is subscribed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.publisher import Publisher
from std_msgs.msg import Empty

from neuralfusion_ros.mapping.planning_grids import GridTooLarge
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.messages.latent_blocks import decode_blocks
from neuralfusion_ros.messages.stamps import NS_PER_S
from neuralfusion_ros.nodes.bounded_queue import BoundedQueue
from neuralfusion_ros.nodes.diagnostics import Rate
from neuralfusion_ros.nodes.latent_copy import LatentCopy
from neuralfusion_ros.nodes.mesh_output import MeshOutput
from neuralfusion_ros.nodes.parameters import TranslatorParameters
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.translation_rounds import TranslationRounds
from neuralfusion_ros.nodes.tsdf_output import TsdfOutput
from neuralfusion_ros.nodes.whole_map_output import (
    Make,
    WholeMapOutput,
    esdf_maker,
    grid_maker,
    make_surface,
    tsdf_slice_maker,
)
from neuralfusion_ros.nodes.worker import Worker

# About 400 MB, more than comes while one slice is translated. What does not fit is asked for again.
_MAX_WAITING_MESSAGES = 512
_LOOK_FOR_SENDER_S = 0.2


class SaveError(Exception):
    """There is no mesh to save. The message is a sentence."""


@dataclass(frozen=True)
class Outputs:
    """The publishers of the node. sender_is_there: whether somebody publishes `latent_blocks`."""

    mesh: Publisher
    tsdf: Publisher
    occupancy_grid: Publisher
    esdf_slice: Publisher
    tsdf_slice: Publisher
    surface: Publisher
    resend: Publisher
    sender_is_there: Callable[[], bool]


class TranslationWork:
    """Callbacks hand in what they receive and what is to be done; the map is touched by the worker alone.

    received: messages. resends: how often a full resend was asked for. whole_map: the topics that show all of it in
    one message. worker: the thread that does it all.
    """

    def __init__(
        self, copy: LatentCopy, outputs: Outputs, parameters: TranslatorParameters, rejections: Rejections
    ) -> None:
        self.copy, self._outputs, self._rejections = copy, outputs, rejections
        self._options = parameters
        self.rounds = TranslationRounds(copy, parameters.max_blocks_per_slice)
        self.mesh = MeshOutput(outputs.mesh, parameters.mesh_rate_hz, parameters.mesh_colour)
        self.tsdf = TsdfOutput(outputs.tsdf, parameters.tsdf_rate_hz)
        self.whole_map = {
            topic: WholeMapOutput(getattr(outputs, topic), rate_hz, make)
            for topic, (rate_hz, make) in self._makers(parameters).items()
        }
        self._asked_s = 0.0
        self.inbox: BoundedQueue[bytes] = BoundedQueue(_MAX_WAITING_MESSAGES)
        self.resends = self.received = 0
        self._received_rate = Rate()
        self._starts = self._refills = 0
        self._new_sender = self._hold = False
        self.worker = Worker(self._step, rejections.unexpected, parameters.niceness)

    def start(self) -> None:
        """Begins to work."""
        self.worker.start()

    def stop(self) -> None:
        """Ends the work after the slice at hand."""
        self.worker.stop()

    def add_message(self, data: bytes) -> None:
        """Queues a serialised block message."""
        self.received += 1
        if self.inbox.put(data) is not None:
            self._rejections.reject("queue_full", "The blocks come faster than they can be stored.")
        self.worker.wake()

    def sender_came(self) -> None:
        """Somebody new publishes the blocks, and may have begun before it was heard."""
        self._new_sender = True
        self.worker.wake()

    def mesh_viewer_came(self) -> None:
        """Somebody new listens to the mesh and needs all of it."""
        self.mesh.viewer_came()
        self.worker.wake()

    def tsdf_viewer_came(self) -> None:
        """Somebody new listens to the TSDF and needs all of it."""
        self.tsdf.viewer_came()
        self.worker.wake()

    def whole_map_viewer_came(self, topic: str) -> None:
        """Somebody new listens to one of the topics that show the whole map at once."""
        self.whole_map[topic].renew()
        self.worker.wake()

    def use(self, parameters: TranslatorParameters) -> None:
        """Goes on with other values of the parameters that may change."""
        self._options = parameters
        self.rounds.max_blocks = parameters.max_blocks_per_slice
        self.mesh.use(parameters.mesh_rate_hz, parameters.mesh_colour)
        self.tsdf.use(parameters.tsdf_rate_hz)
        for topic, (rate_hz, make) in self._makers(parameters).items():
            self.whole_map[topic].use(rate_hz, make)
        self.worker.wake()

    def save_mesh(self, path: Path) -> Future[str]:
        """Translates what waits and writes the whole mesh."""
        return self.worker.submit(lambda: self._save(path))

    def values(self) -> dict[str, Any]:
        """What /diagnostics shows."""
        return {
            "received": self.received,
            "received_hz": self._received_rate.of(self.received),
            "waiting_messages": len(self.inbox),
            "waiting_blocks": self.rounds.waiting,
            "lag_s": self._lag_s(),
            "resends": self.resends,
            "slice_ms_p50": self.rounds.durations.percentile(50),
            "slice_ms_p95": self.rounds.durations.percentile(95),
            **{f"published.{topic}": output.published for topic, output in self.whole_map.items()},
        }

    def _lag_s(self) -> str:
        """How much older what is shown is than what has come; nothing while either is incomplete."""
        newest_ns, shown_ns = self.copy.newest_ns, self.rounds.shown_ns
        return f"{(newest_ns - shown_ns) / NS_PER_S:.3f}" if newest_ns and shown_ns else ""

    def _step(self) -> float | None:
        """One slice, and whatever is to be sent. Returns the seconds until there is more to do."""
        self._apply_waiting()
        ask_wait_s = self._ask_for_resend()
        mesh_wanted, tsdf_wanted = self.mesh.is_wanted, self.tsdf.is_wanted
        whole_map = [output for output in self.whole_map.values() if output.is_wanted]
        wanted = mesh_wanted or tsdf_wanted or bool(whole_map)
        # What came in pieces is translated once, not piece by piece with its neighbours.
        rest_s = 0.0 if self.rounds.in_round else self.copy.rest_s()
        busy = wanted and rest_s == 0 and self._translate_slice()
        waits = [ask_wait_s, 0.0 if busy else None, rest_s or None]
        surface = self.copy.surface
        # A new map is shown when there is something to show: an empty message would use up the turn of the mesh.
        is_blank = rest_s > 0 and surface is not None and surface.grid.n_blocks == 0
        if mesh_wanted and surface and not (is_blank or self._hold):
            waits.append(self.mesh.publish(surface, self.copy.frame_id, self.rounds))
        if tsdf_wanted and surface:
            waits.append(self.tsdf.publish(surface, self.copy.frame_id, self.rounds.shown_ns))
        if surface and not self._hold:
            waits += [self._publish_whole_map(output, surface) for output in whole_map]
        return min((wait for wait in waits if wait is not None), default=None)

    def _apply_waiting(self) -> None:
        if self._new_sender:
            self._new_sender = False
            self.copy.sender_came()
        for data in self.inbox.take_all():
            with self._rejections.gate():
                self.copy.apply(decode_blocks(data))
        if self.copy.starts != self._starts:
            self._starts = self.copy.starts
            self.mesh.start_new_map()
            self.tsdf.start_new_map()
            self._note_change()
            self._hold = False
        if self.copy.refills != self._refills:
            self._refills = self.copy.refills
            # Viewers keep what they have until the map is whole again.
            self._hold = True

    def _ask_for_resend(self) -> float | None:
        """Asks again and again until the copy is complete. Returns the seconds until it may be time to ask."""
        if self.copy.complete or self.copy.wrong_model:
            return None
        heard = self._outputs.sender_is_there() and self._outputs.resend.get_subscription_count() > 0
        if heard and time.monotonic() - self._asked_s >= self._options.resend_timeout_s:
            self._asked_s = time.monotonic()
            self.resends += 1
            self._outputs.resend.publish(Empty())
        return min(_LOOK_FOR_SENDER_S, self._options.resend_timeout_s)

    def _translate_slice(self) -> bool:
        busy = self.rounds.advance()
        if busy:
            self._note_change()
            self.tsdf.add(self.rounds.take_translated())
            self._hold &= self.rounds.in_round or not self.copy.filled
        return busy

    def _note_change(self) -> None:
        self.mesh.is_old = True
        for output in self.whole_map.values():
            output.renew()

    def _publish_whole_map(self, output: WholeMapOutput, surface: SurfaceMap) -> float | None:
        try:
            return output.publish(surface, self.copy.frame_id, self.rounds.shown_ns, self.rounds.in_round)
        except GridTooLarge as error:
            self._rejections.reject("grid_too_large", str(error))
            return None

    def _makers(self, parameters: TranslatorParameters) -> dict[str, tuple[float, Make]]:
        """Rate and messages of the topics that show the whole map at once."""
        return {
            "occupancy_grid": (parameters.grid_rate_hz, grid_maker(parameters)),
            "esdf_slice": (parameters.esdf_rate_hz, esdf_maker(parameters)),
            "tsdf_slice": (parameters.tsdf_slice_rate_hz, tsdf_slice_maker(parameters)),
            "surface": (parameters.surface_rate_hz, self._make_surface),
        }

    def _make_surface(self, surface: SurfaceMap, frame_id: str, stamp_ns: int) -> bytes:
        # The viewers of the mesh need these chunks, too, and will not be told again.
        self.mesh.add(surface.mesh_changed_chunks())
        return make_surface(surface, frame_id, stamp_ns)

    def _save(self, path: Path) -> str:
        # Open3D takes seconds to import.
        from neuralfusion_ros.mapping.mesh_file import write_mesh
        from neuralfusion_ros.mapping.new_file import check_writable, make_folder

        make_folder(path.parent)
        check_writable(path, ".ply")
        self._apply_waiting()
        while self._translate_slice():
            if self.worker.stopping.is_set():
                raise SaveError("The node was stopped before the mesh was complete.")
        surface = self.copy.surface
        if surface is None:
            raise SaveError("There is no map yet; nothing was written.")
        self.mesh.add(surface.mesh_changed_chunks())
        mesh = surface.mesh()
        if not len(mesh.triangles):
            raise SaveError("The map has no surface; nothing was written.")
        write_mesh(path, mesh)
        return f"Wrote {len(mesh.triangles)} triangles to {path.absolute()}."
