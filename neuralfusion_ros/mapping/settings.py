# SPDX-License-Identifier: Apache-2.0
"""What a user may choose about a map."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float]
Bounds = tuple[Point, Point]
"""The lowest and the highest corner of a box, in metres; numbers may be infinite."""

MAX_WEIGHT = 1000.0  # half precision counts to 2048 in steps of one


@dataclass(frozen=True)
class MapSettings:
    """voxel_size_m: edge of a voxel. min_depth_m, max_depth_m: depth outside is ignored.

    max_weight: cap of the evidence of a voxel, in frames; smaller forgets sooner. max_bytes: cap of the latent
    map's memory. evict: when the map is full, the blocks that were out of sight for longest make room; otherwise new
    blocks are refused. radius_m: blocks further away from the camera are dropped, 0 for never. bounds_m: only blocks
    that reach into this box of the world are mapped, None for all.
    Raises ValueError when a value makes no sense.
    """

    voxel_size_m: float = 0.02
    min_depth_m: float = 0.1
    max_depth_m: float = 5.0
    max_weight: float = 64.0
    max_bytes: int = 2 << 30
    evict: bool = False
    radius_m: float = 0.0
    bounds_m: Bounds | None = None

    def __post_init__(self) -> None:
        if not 0.001 <= self.voxel_size_m <= 1.0:
            raise ValueError(f"voxel size must lie in 0.001..1 m, got {self.voxel_size_m}")
        if not 0 <= self.min_depth_m < self.max_depth_m:
            raise ValueError(f"need 0 <= min depth < max depth, got {self.min_depth_m} and {self.max_depth_m}")
        if not 1 <= self.max_weight <= MAX_WEIGHT:
            raise ValueError(f"max_weight must lie in 1..{MAX_WEIGHT:g}, got {self.max_weight}")
        if self.max_bytes < 1 << 20:
            raise ValueError(f"the map needs at least 1 MiB, got {self.max_bytes} bytes")
        if self.radius_m != 0 and not self.radius_m >= self.max_depth_m:
            raise ValueError(f"need radius >= max depth, or 0 for no limit, got {self.radius_m} and {self.max_depth_m}")
        if self.bounds_m is not None and not all(low < high for low, high in zip(*self.bounds_m, strict=True)):
            raise ValueError(
                f"need bounds with min < max along every axis, got {self.bounds_m[0]} to {self.bounds_m[1]}"
            )
