# SPDX-License-Identifier: Apache-2.0
"""Mesh chunks as marker messages: only what changed, under stable ids, in messages of moderate size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.messages.markers import ChunkMesh, marker_array_bytes
from neuralfusion_ros.messages.mesh_colours import mesh_colours

MAX_MESSAGE_BYTES = 8_000_000

Chunk = tuple[int, int, int]
Paint = Callable[[Mesh], npt.NDArray[np.float32]]

_TRIANGLE_BYTES = 3 * (24 + 16)  # corners and their colours
_MARKER_BYTES = 300


class MeshStream:
    """Remembers which chunks the viewers do not have yet. For one thread."""

    def __init__(self) -> None:
        self._ids: dict[Chunk, int] = {}
        self._unsent: dict[Chunk, Mesh] = {}
        self._delete_all = False
        self._shown_ns = 0

    @property
    def has_work(self) -> bool:
        """Something is to be sent."""
        return bool(self._unsent) or self._delete_all

    def add(self, meshes: dict[Chunk, Mesh]) -> None:
        """Chunks that changed; one without triangles is to be deleted."""
        self._unsent.update(meshes)

    def start_new_map(self) -> None:
        """The next message deletes everything."""
        self._ids.clear()
        self._unsent.clear()
        self._delete_all = True
        self._shown_ns = 0

    def take(self, frame_id: str, stamp_ns: int, paint: Paint = mesh_colours) -> Iterator[bytes]:
        """The serialised MarkerArrays that bring the viewers up to date. All are to be sent.

        stamp_ns: of the newest image that they show. Only the last one has it; the others do not show all of it yet.
        paint: gives the (V, 3) colours of the vertices of a mesh.
        """
        chunks: list[ChunkMesh] = []
        size = 0
        for chunk, mesh in self._unsent.items():
            chunk_bytes = _MARKER_BYTES + _TRIANGLE_BYTES * len(mesh.triangles)
            if chunks and size + chunk_bytes > MAX_MESSAGE_BYTES:
                yield self._message(frame_id, self._shown_ns, chunks)
                chunks, size = [], 0
            chunks.append(self._chunk_mesh(chunk, mesh, paint))
            size += chunk_bytes
        self._shown_ns = stamp_ns
        if chunks or self._delete_all:
            yield self._message(frame_id, stamp_ns, chunks)
        self._unsent.clear()

    def _message(self, frame_id: str, stamp_ns: int, chunks: list[ChunkMesh]) -> bytes:
        delete_all, self._delete_all = self._delete_all, False
        return marker_array_bytes(frame_id, stamp_ns, chunks, delete_all=delete_all)

    def _chunk_mesh(self, chunk: Chunk, mesh: Mesh, paint: Paint) -> ChunkMesh:
        number = self._ids.setdefault(chunk, len(self._ids))
        return ChunkMesh(number, mesh.vertices, mesh.triangles, paint(mesh))
