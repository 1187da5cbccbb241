# SPDX-License-Identifier: Apache-2.0
"""The topic `~/mesh`: chunks that changed, coloured, at the rate that is asked for, while somebody subscribes."""

from __future__ import annotations

from functools import partial

from rclpy.publisher import Publisher

from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.nodes.mesh_painter import MeshPainter
from neuralfusion_ros.nodes.mesh_stream import Chunk, MeshStream
from neuralfusion_ros.nodes.schedule import Schedule
from neuralfusion_ros.nodes.translation_rounds import TranslationRounds


class MeshOutput:
    """For the worker's thread, but for `use` and `viewer_came`.

    is_old: something was translated since the mesh was last sent.
    """

    def __init__(self, publisher: Publisher, rate_hz: float, colour: str) -> None:
        self._publisher, self._schedule = publisher, Schedule(rate_hz)
        self._stream, self._painter = MeshStream(), MeshPainter(colour)
        self._new_viewer = self.is_old = False
        self._sent_ns = 0

    def use(self, rate_hz: float, colour: str) -> None:
        """Goes on with another rate and other colours."""
        self._schedule = Schedule(rate_hz)
        if colour != self._painter.choice:
            self._painter.choice = colour
            self._new_viewer = True  # all of it is sent again

    def viewer_came(self) -> None:
        """Somebody new listens and needs all of it."""
        self._new_viewer = True

    @property
    def is_wanted(self) -> bool:
        """Somebody listens, and the topic is not switched off."""
        return self._schedule.enabled and self._publisher.get_subscription_count() > 0

    def start_new_map(self) -> None:
        """What viewers have is to go."""
        self._painter.start_new_map()
        self._stream.start_new_map()

    def add(self, meshes: dict[Chunk, Mesh]) -> None:
        """Chunks that somebody else took out of the surface, and that it will not tell of again."""
        self._stream.add(meshes)

    def publish(self, surface: SurfaceMap, frame_id: str, rounds: TranslationRounds) -> float | None:
        """Sends chunks that changed, after a round or in the middle of a long one. Returns when to try again."""
        if not (self.is_old or self._new_viewer or self._stream.has_work):
            return None
        # What ended a round must not wait for the end of the next one.
        is_between = rounds.in_round and rounds.shown_ns == self._sent_ns
        if is_between and not self._schedule.is_late():
            return None
        if not self._schedule.take():
            return self._schedule.wait_s()
        self.is_old, self._sent_ns = False, rounds.shown_ns
        self._stream.add(surface.mesh_changed_chunks(settled_only=is_between))
        chunks = surface.chunk_meshes()
        if self._painter.learn(chunks.values(), surface.latent) or self._new_viewer:
            self._new_viewer = False
            self._stream.add(chunks)
        paint = partial(self._painter.colours, latent=surface.latent)
        for message in self._stream.take(frame_id, rounds.shown_ns, paint):
            self._publisher.publish(message)
        return None
