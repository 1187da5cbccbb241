# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera. Pixel (u, v) has its centre at integer coordinates: u = fx * x / z + cx."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of an undistorted camera of any image size.

    width, height: image size in pixels. fx, fy, cx, cy: focal lengths and principal point in pixels.
    Raises ValueError when an intrinsic is not finite, a focal length is not positive or the image is empty.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"image size must be positive, got {self.width}x{self.height}")
        if not all(isfinite(k) for k in (self.fx, self.fy, self.cx, self.cy)):
            raise ValueError("camera intrinsics must be finite")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"focal lengths must be positive, got fx={self.fx} fy={self.fy}")

    def pooled(self, factor: int) -> PinholeCamera:
        """The camera whose pixel (i, j) covers the factor x factor full-size pixels from (i, j) * factor on.

        Pixels left over at the right and bottom edges belong to no pooled pixel.
        """
        half = (factor - 1) / 2
        return PinholeCamera(
            self.width // factor,
            self.height // factor,
            self.fx / factor,
            self.fy / factor,
            (self.cx - half) / factor,
            (self.cy - half) / factor,
        )

    def rays(self, device: torch.device | str = "cpu") -> torch.Tensor:
        """Points of every pixel's ray at depth 1: (height, width, 3) float32, (x/z, y/z, 1)."""
        import torch  # here, because it takes seconds and who only reads a camera's numbers need not wait

        v, u = torch.meshgrid(
            torch.arange(self.height, dtype=torch.float32, device=device),
            torch.arange(self.width, dtype=torch.float32, device=device),
            indexing="ij",
        )
        return torch.stack(((u - self.cx) / self.fx, (v - self.cy) / self.fy, torch.ones_like(u)), dim=-1)

    def project(self, points_camera: torch.Tensor) -> torch.Tensor:
        """(..., 3) points in the camera's frame, in metres, to (..., 2) pixel coordinates (u, v). z must be > 0."""
        import torch

        x, y, z = points_camera.unbind(-1)
        return torch.stack((self.fx * x / z + self.cx, self.fy * y / z + self.cy), dim=-1)
