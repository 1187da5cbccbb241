# SPDX-License-Identifier: Apache-2.0
"""Markers to the bytes of a visualization_msgs/MarkerArray, and back.

Every chunk of a mesh is one TRIANGLE_LIST marker with a stable id, so that a viewer replaces only what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.messages.cdr import CdrReader, CdrWriter

NAMESPACE = "mesh"
LINE_STRIP, LINE_LIST, TRIANGLE_LIST = 4, 5, 11
ADD, DELETE, DELETE_ALL = 0, 2, 3

_FIXED_PART_BYTES = 10 * 8 + 4 * 4 + 2 * 4 + 1  # pose and scale, colour, lifetime, frame_locked


@dataclass(frozen=True, eq=False)
class ChunkMesh:
    """The mesh of one piece of the map.

    id: int32, the same whenever this piece is sent. vertices: (V, 3) metres in the global frame.
    triangles: (T, 3) vertex numbers. colours: (V, 3) red, green, blue in 0..1.
    """

    id: int
    vertices: npt.NDArray[np.floating]
    triangles: npt.NDArray[np.integer]
    colours: npt.NDArray[np.floating]


class MarkerFields(NamedTuple):
    """A marker to write. points: (N, 3) float64 metres. colours: (N, 4) float32 RGBA of the points, or none.

    colour: of all points, when they have none of their own. scale_m: width of lines.
    """

    id: int
    points: npt.NDArray[np.float64]
    colours: npt.NDArray[np.float32] = np.zeros((0, 4), dtype=np.float32)
    ns: str = NAMESPACE
    kind: int = TRIANGLE_LIST
    action: int = ADD
    scale_m: float = 1.0
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)


class MarkerContent(NamedTuple):
    """What `read_marker_array` gives for each marker. points: (N, 3) float64 metres. colours: (N, 4) float32 RGBA."""

    ns: str
    id: int
    action: int
    points: npt.NDArray[np.float64]
    colours: npt.NDArray[np.float32]


def marker_array_bytes(
    frame_id: str,
    stamp_ns: int,
    chunks: Iterable[ChunkMesh] = (),
    deleted_ids: Iterable[int] = (),
    delete_all: bool = False,
) -> bytes:
    """A serialised MarkerArray: first DELETEALL if wanted, then one DELETE per deleted id, then one ADD per chunk.

    A chunk without triangles becomes a DELETE, because RViz reports an empty triangle list as an error.
    """
    markers = [MarkerFields(0, _NO_POINTS, action=DELETE_ALL)] if delete_all else []
    markers += [MarkerFields(number, _NO_POINTS, action=DELETE) for number in deleted_ids]
    markers += [_marker_of(chunk) for chunk in chunks]
    return marker_bytes(frame_id, stamp_ns, markers)


def marker_bytes(frame_id: str, stamp_ns: int, markers: Sequence[MarkerFields]) -> bytes:
    """A serialised MarkerArray."""
    writer = CdrWriter()
    writer.pack("I", len(markers))
    heads = {ns: _head(frame_id, stamp_ns, ns) for ns in {marker.ns for marker in markers}}
    fixed = {key: _fixed_part(*key) for key in {(marker.scale_m, marker.colour) for marker in markers}}
    tail = _unused_tail()
    for marker in markers:
        writer.raw(heads[marker.ns], alignment=4)
        writer.pack("iii", marker.id, marker.kind, marker.action)
        writer.raw(fixed[marker.scale_m, marker.colour], alignment=8)
        writer.sequence(marker.points)
        writer.sequence(marker.colours)
        writer.raw(tail, alignment=4)
    return writer.finish()


def read_marker_array(data: bytes) -> list[MarkerContent]:
    """The markers of a serialised MarkerArray from any sender. Raises BadMessage 'cdr', 'truncated' or 'stamp'."""
    return list(_markers(data))


def stamp_of_markers(data: bytes) -> int:
    """Nanoseconds of the first marker of a serialised MarkerArray; 0 without markers. Raises BadMessage as above."""
    reader = CdrReader(data)
    return reader.header()[1] if reader.uint32() else 0


def has_triangles(data: bytes) -> bool:
    """Whether a marker of a serialised MarkerArray has points; reads no further. Raises BadMessage as above."""
    return any(len(marker.points) > 0 for marker in _markers(data))


def _markers(data: bytes) -> Iterator[MarkerContent]:
    reader = CdrReader(data)
    for _ in range(reader.uint32()):
        yield _read_marker(reader)


_NO_POINTS = np.zeros((0, 3))


def _marker_of(chunk: ChunkMesh) -> MarkerFields:
    """With the three corners of each triangle written out."""
    if len(chunk.triangles) == 0:
        return MarkerFields(chunk.id, _NO_POINTS, action=DELETE)
    corners = chunk.triangles.reshape(-1)
    rgba = np.ones((len(chunk.vertices), 4), dtype=np.float32)
    rgba[:, :3] = chunk.colours
    points = np.asarray(chunk.vertices, dtype=np.float64)
    return MarkerFields(chunk.id, points.take(corners, axis=0), rgba.take(corners, axis=0))


def _head(frame_id: str, stamp_ns: int, ns: str) -> bytes:
    """The fields before the id."""
    body = CdrWriter()
    body.header(frame_id, stamp_ns)
    body.string(ns)
    return body.body()


def _fixed_part(scale_m: float, colour: tuple[float, float, float]) -> bytes:
    """The fields between action and points."""
    body = CdrWriter()
    body.pack("ddddddd", 0, 0, 0, 0, 0, 0, 1)  # pose: the identity
    body.pack("ddd", scale_m, scale_m, scale_m)
    body.pack("ffff", *colour, 1)  # the colours of the vertices override it
    body.pack("iI", 0, 0)  # lifetime: for ever
    body.pack("?", False)  # frame_locked
    return body.body()


def _unused_tail() -> bytes:
    """The empty fields after the colours."""
    body = CdrWriter()
    body.string("")  # texture_resource
    body.header("", 0)  # texture
    body.string("")  # format of the texture
    body.pack("II", 0, 0)  # bytes of the texture; uv_coordinates
    body.string("")  # text
    body.string("")  # mesh_resource
    body.string("")  # name of the mesh_file
    body.pack("I?", 0, False)  # bytes of the mesh_file; mesh_use_embedded_materials
    return body.body()


def _read_marker(reader: CdrReader) -> MarkerContent:
    reader.header()
    ns = reader.string()
    number, _, action = reader.int32(), reader.int32(), reader.int32()
    reader.raw(_FIXED_PART_BYTES, alignment=8)
    points = reader.sequence(np.float64, 3)
    colours = reader.sequence(np.float32, 4)
    _skip_tail(reader)
    # The views of the message are not aligned; the copies are, and do not keep the message in memory.
    return MarkerContent(ns, number, action, points.astype(np.float64), colours.astype(np.float32))


def _skip_tail(reader: CdrReader) -> None:
    reader.string()  # texture_resource
    reader.header()
    reader.string()
    reader.sequence(np.uint8)
    reader.sequence(np.float32, 2)  # uv_coordinates
    reader.string()  # text
    reader.string()  # mesh_resource
    reader.string()  # mesh_file
    reader.sequence(np.uint8)
    reader.uint8()  # mesh_use_embedded_materials
