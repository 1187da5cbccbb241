# SPDX-License-Identifier: Apache-2.0
"""Lines as visualization_msgs/MarkerArray: the view of a camera and the way that it went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.messages.markers import DELETE, LINE_LIST, LINE_STRIP, MarkerFields, marker_bytes

FRUSTUM, PATH = "frustum", "path"
FRUSTUM_DEPTH_M = 0.4
COLOURS = {FRUSTUM: (1.0, 0.55, 0.1), PATH: (0.1, 0.65, 1.0)}
_WIDTH_M = 0.01
# The four edges from the eye, and the four sides of the image.
_EDGES = np.array([(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)])


@dataclass(frozen=True, eq=False)
class CameraTrack:
    """id: int32 of the camera. T_world_camera: (4, 4) where it is. path: (N, 3) metres, where it was, oldest first."""

    id: int
    camera: PinholeCamera
    T_world_camera: npt.NDArray[np.float64]
    path: npt.NDArray[np.float64]


def camera_markers_bytes(frame_id: str, stamp_ns: int, tracks: Iterable[CameraTrack]) -> bytes:
    """A serialised MarkerArray with a frustum (LINE_LIST) and a path (LINE_STRIP) of each camera.

    A path of less than two points becomes a DELETE.
    """
    markers = []
    for track in tracks:
        markers.append(_lines(FRUSTUM, track.id, LINE_LIST, frustum_lines(track.camera, track.T_world_camera)))
        path = _lines(PATH, track.id, LINE_STRIP, track.path)
        markers.append(path if len(track.path) > 1 else path._replace(points=track.path[:0], action=DELETE))
    return marker_bytes(frame_id, stamp_ns, markers)


def frustum_lines(camera: PinholeCamera, T_world_camera: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(16, 3) ends of the eight edges of the view, FRUSTUM_DEPTH_M deep, in metres of the world."""
    columns = np.array([-0.5, camera.width - 0.5, camera.width - 0.5, -0.5])
    rows = np.array([-0.5, -0.5, camera.height - 0.5, camera.height - 0.5])
    corners = np.stack(((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(4)), axis=-1)
    points = np.concatenate([np.zeros((1, 3)), corners * FRUSTUM_DEPTH_M])
    world = points @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    return np.ascontiguousarray(world[_EDGES].reshape(-1, 3))


def _lines(ns: str, number: int, kind: int, points: npt.NDArray[np.float64]) -> MarkerFields:
    return MarkerFields(number, points, ns=ns, kind=kind, scale_m=_WIDTH_M, colour=COLOURS[ns])
