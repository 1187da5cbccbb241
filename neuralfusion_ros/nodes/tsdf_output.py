# SPDX-License-Identifier: Apache-2.0
"""The topic `~/tsdf`: voxels that changed, at the rate that is asked for, while somebody subscribes."""

from __future__ import annotations

import torch
from rclpy.publisher import Publisher

from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.nodes.schedule import Schedule
from neuralfusion_ros.nodes.tsdf_stream import TsdfStream


class TsdfOutput:
    """For the worker's thread, but for `use` and `viewer_came`."""

    def __init__(self, publisher: Publisher, rate_hz: float) -> None:
        self._publisher, self._schedule, self._stream = publisher, Schedule(rate_hz), TsdfStream()
        self._new_viewer = False

    def use(self, rate_hz: float) -> None:
        """Goes on with another rate."""
        self._schedule = Schedule(rate_hz)

    def viewer_came(self) -> None:
        """Somebody new listens and needs all of it."""
        self._new_viewer = True

    @property
    def is_wanted(self) -> bool:
        """Somebody listens, and the topic is not switched off."""
        return self._schedule.enabled and self._publisher.get_subscription_count() > 0

    @property
    def has_work(self) -> bool:
        """Something is to be sent."""
        return self._stream.has_work

    def start_new_map(self) -> None:
        """What receivers have is to go."""
        self._stream.start_new_map()

    def add(self, keys: torch.Tensor) -> None:
        """(N, 3) blocks that were translated."""
        self._stream.add(keys)

    def publish(self, surface: SurfaceMap, frame_id: str, stamp_ns: int) -> float | None:
        """Sends what is new. Returns when to try again."""
        if self._new_viewer:
            self._new_viewer = False
            self._stream.add_everything()
        if not self._stream.has_work:
            return None
        if not self._schedule.take():
            return self._schedule.wait_s()
        for message in self._stream.take(surface, frame_id, stamp_ns):
            self._publisher.publish(message)
        return None
