# SPDX-License-Identifier: Apache-2.0
"""One depth image from a known pose, and what it says about points in space."""

from __future__ import annotations

import numpy as np
import torch

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera

_SAME_SURFACE = 1.05  # ratio of depths of neighbouring pixels below which they are taken for one surface


class View:
    """A frame prepared for look-ups by many points. Depth beyond max_depth_m counts as no measurement."""

    def __init__(self, frame: Frame, camera: PinholeCamera, max_depth_m: float) -> None:
        depth_m = torch.from_numpy(np.ascontiguousarray(frame.depth_m, dtype=np.float32))
        self.depth_m = torch.where(depth_m <= max_depth_m, depth_m, 0.0)
        self.camera = camera
        T_camera_world = np.linalg.inv(np.asarray(frame.T_world_camera, dtype=np.float64))
        self._rotation = torch.from_numpy(T_camera_world[:3, :3]).float()
        self._translation = torch.from_numpy(T_camera_world[:3, 3]).float()

    def to_camera(self, points: torch.Tensor) -> torch.Tensor:
        """(..., 3) points of the world in the camera's frame."""
        return points @ self._rotation.T + self._translation

    def spheres_in_view(self, centres: torch.Tensor, radius_m: float, behind_m: float) -> torch.Tensor:
        """(N,) bool: the sphere around an (N, 3) centre touches the view up to `behind_m` behind the farthest depth."""
        cam = self.camera
        left, right = (cam.fx, 0.0, cam.cx + 0.5), (-cam.fx, 0.0, cam.width - 0.5 - cam.cx)
        top, bottom = (0.0, cam.fy, cam.cy + 0.5), (0.0, -cam.fy, cam.height - 0.5 - cam.cy)
        normals = torch.nn.functional.normalize(torch.tensor((left, right, top, bottom)), dim=1)
        points = self.to_camera(centres)
        z = points[:, 2]
        in_range = (z > -radius_m) & (z - radius_m < self.depth_m.max() + behind_m)
        return in_range & (points @ normals.T >= -radius_m).all(dim=1)

    def nearest_depth(self, points_camera: torch.Tensor) -> torch.Tensor:
        """(N,) measured depth at the pixel nearest to each (N, 3) point; 0 outside the image or without measurement."""
        u, v = self.camera.project(points_camera).unbind(-1)
        return self._lookup(u.round(), v.round(), points_camera[:, 2] > 0)

    def surface_depth(self, points_camera: torch.Tensor) -> torch.Tensor:
        """Like nearest_depth, but between the four neighbouring pixels where these see one surface.

        Inverse depth is linear in the image on a plane, so interpolating it is exact there.
        """
        u, v = self.camera.project(points_camera).unbind(-1)
        in_front = points_camera[:, 2] > 0
        u0, v0 = u.floor(), v.floor()
        corners = torch.stack([self._lookup(u0 + i, v0 + j, in_front) for j in (0, 1) for i in (0, 1)])
        fu, fv = u - u0, v - v0
        weights = torch.stack(((1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv))
        low, high = corners.amin(0), corners.amax(0)
        blended = 1.0 / (weights / corners.clamp(min=1e-6)).sum(0)
        nearest = self._lookup(u.round(), v.round(), in_front)
        return torch.where((low > 0) & (high < _SAME_SURFACE * low) & (nearest > 0), blended, nearest)

    def _lookup(self, u: torch.Tensor, v: torch.Tensor, in_front: torch.Tensor) -> torch.Tensor:
        inside = in_front & (u >= 0) & (u < self.camera.width) & (v >= 0) & (v < self.camera.height)
        u, v = torch.where(inside, u, 0).long(), torch.where(inside, v, 0).long()
        return torch.where(inside, self.depth_m[v, u], 0.0)
