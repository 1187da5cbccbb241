# SPDX-License-Identifier: Apache-2.0
"""A grid of free, occupied and unknown cells to the bytes of a nav_msgs/OccupancyGrid."""

from __future__ import annotations

import numpy as np

from neuralfusion_ros.mapping.planning_grids import PlaneGrid
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN
from neuralfusion_ros.messages.cdr import CdrWriter
from neuralfusion_ros.messages.stamps import split_ns

ROS_FREE, ROS_OCCUPIED, ROS_UNKNOWN = 0, 100, -1

_CELLS = np.zeros(3, dtype=np.int8)
_CELLS[[UNKNOWN, FREE_SPACE, OCCUPIED]] = ROS_UNKNOWN, ROS_FREE, ROS_OCCUPIED


def occupancy_grid_bytes(frame_id: str, stamp_ns: int, grid: PlaneGrid) -> bytes:
    """A serialised OccupancyGrid whose origin is the lowest corner of the grid, with its axes along x and y of the map.

    The cells are in the order of the message: rows along x, one after the other along y.
    """
    height, width = grid.states.shape
    writer = CdrWriter()
    writer.header(frame_id, stamp_ns)
    writer.pack("iI", *split_ns(stamp_ns))  # map_load_time
    writer.pack("fII", grid.cell_size_m, width, height)
    writer.pack("ddd", *grid.origin_m, 0.0)
    writer.pack("dddd", 0.0, 0.0, 0.0, 1.0)  # not turned
    writer.sequence(_CELLS[grid.states.reshape(-1)])
    return writer.finish()
