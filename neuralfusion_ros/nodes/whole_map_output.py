# SPDX-License-Identifier: Apache-2.0
"""Outputs that show the whole map in one message, made only while somebody subscribes."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.publisher import Publisher

from neuralfusion_ros.mapping.mesh_points import surface_points
from neuralfusion_ros.mapping.planning_grids import esdf_slice, occupancy_grid
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.mapping.tsdf_slice import tsdf_slice
from neuralfusion_ros.messages.esdf_cloud import esdf_cloud_bytes
from neuralfusion_ros.messages.occupancy_grid import occupancy_grid_bytes
from neuralfusion_ros.messages.surface_cloud import surface_cloud_bytes
from neuralfusion_ros.messages.tsdf_cloud import tsdf_cloud_bytes
from neuralfusion_ros.nodes.parameters import TranslatorParameters
from neuralfusion_ros.nodes.schedule import Schedule

Make = Callable[[SurfaceMap, str, int], bytes]


class WholeMapOutput:
    """One topic. Its message is made anew when the map has changed, or when somebody new listens. For one thread.

    make: the serialised message of a map, with its frame and stamp. published: how many were sent.
    """

    def __init__(self, publisher: Publisher, rate_hz: float, make: Make) -> None:
        self._publisher, self._make = publisher, make
        self._schedule = Schedule(rate_hz)
        self._is_old = False
        self.published = 0

    def use(self, rate_hz: float, make: Make) -> None:
        """Goes on with another rate and other messages. From any thread."""
        self._schedule, self._make = Schedule(rate_hz), make
        self._is_old = True

    @property
    def is_wanted(self) -> bool:
        """Somebody listens, and the topic is not switched off."""
        return self._schedule.enabled and self._publisher.get_subscription_count() > 0

    @property
    def is_old(self) -> bool:
        """The map is no longer what was sent last."""
        return self._is_old

    def renew(self) -> None:
        """What was sent last is old, or not known to all. From any thread."""
        self._is_old = True

    def publish(self, surface: SurfaceMap, frame_id: str, stamp_ns: int, in_round: bool) -> float | None:
        """Sends what is new, after a round of translation or in the middle of a long one. Returns when to try again."""
        if not self._is_old or (in_round and not self._schedule.is_late()):
            return None
        if not self._schedule.take():
            return self._schedule.wait_s()
        self._is_old = False
        self._publisher.publish(self._make(surface, frame_id, stamp_ns))
        self.published += 1
        return None


def grid_maker(parameters: TranslatorParameters) -> Make:
    """Makes `~/occupancy_grid`."""
    low_m, high_m = parameters.grid_min_height_m, parameters.grid_max_height_m
    return lambda surface, frame_id, stamp_ns: occupancy_grid_bytes(
        frame_id, stamp_ns, occupancy_grid(surface, low_m, high_m)
    )


def esdf_maker(parameters: TranslatorParameters) -> Make:
    """Makes `~/esdf_slice`."""
    height_m, reach_m = parameters.esdf_height_m, parameters.esdf_max_distance_m
    return lambda surface, frame_id, stamp_ns: esdf_cloud_bytes(
        frame_id, stamp_ns, esdf_slice(surface, height_m, reach_m)
    )


def tsdf_slice_maker(parameters: TranslatorParameters) -> Make:
    """Makes `~/tsdf_slice`."""

    def make(surface: SurfaceMap, frame_id: str, stamp_ns: int) -> bytes:
        voxels = tsdf_slice(surface, parameters.tsdf_slice_height_m)
        values = voxels.positions_m, voxels.tsdf_m, voxels.weight, voxels.occupancy
        return tsdf_cloud_bytes(frame_id, stamp_ns, *values)

    return make


def make_surface(surface: SurfaceMap, frame_id: str, stamp_ns: int) -> bytes:
    """Makes `~/surface` of the chunks that are meshed."""
    return surface_cloud_bytes(frame_id, stamp_ns, *surface_points(surface.chunk_meshes().values()))
