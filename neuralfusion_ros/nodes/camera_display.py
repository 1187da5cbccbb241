# SPDX-License-Identifier: Apache-2.0
"""Where the cameras are and were, for people who look on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rclpy.publisher import Publisher

from neuralfusion_ros.messages.line_markers import CameraTrack, camera_markers_bytes
from neuralfusion_ros.nodes.camera_input import ReadyFrame
from neuralfusion_ros.nodes.schedule import Schedule

# A longer path loses every second point.
_MAX_POINTS = 8192
_STEP_M = 0.02


class CameraDisplay:
    """Takes note of every frame that was used; makes a message only while somebody listens. For one
    thread."""

    def __init__(self, publisher: Publisher, frame_id: str, rate_hz: float) -> None:
        self._publisher, self._frame_id = publisher, frame_id
        self.set_rate(rate_hz)
        self._paths: dict[str, list[npt.NDArray[np.float64]]] = {}
        self._newest: dict[str, ReadyFrame] = {}
        self._is_old = False

    def set_rate(self, rate_hz: float) -> None:
        """Messages per second at most; not positive is none."""
        self._schedule = Schedule(rate_hz)

    def note(self, camera: str, frame: ReadyFrame) -> None:
        """A frame of the camera of that name was used."""
        if not self._schedule.enabled:
            return
        self._newest[camera] = frame._replace(depth_m=frame.depth_m[:0])  # keeps no image in memory
        path, position = self._paths.setdefault(camera, []), frame.T_world_camera[:3, 3]
        if not path or np.linalg.norm(position - path[-1]) > _STEP_M:
            path.append(position.copy())
        if len(path) > _MAX_POINTS:
            del path[1:-1:2]
        self._is_old = True

    def renew(self) -> None:
        """What was sent last is not known to all. From any thread."""
        self._is_old = True

    def start_anew(self) -> None:
        """What came so far belongs to another map, or to another time."""
        self._paths.clear()

    def publish(self) -> float | None:
        """Sends what is new when it is time. Returns the seconds until there is more to send."""
        if not (self._is_old and self._newest) or self._publisher.get_subscription_count() == 0:
            return None
        if not self._schedule.take():
            return self._schedule.wait_s()
        self._is_old = False
        tracks = [
            CameraTrack(number, frame.camera, frame.T_world_camera, np.array(self._paths.get(name, [])).reshape(-1, 3))
            for number, (name, frame) in enumerate(self._newest.items())
        ]
        newest_ns = max(frame.stamp_ns for frame in self._newest.values())
        self._publisher.publish(camera_markers_bytes(self._frame_id, newest_ns, tracks))
        return None
