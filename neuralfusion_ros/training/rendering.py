# SPDX-License-Identifier: Apache-2.0
"""Exact depth images of a triangle mesh, by ray casting."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from neuralfusion_ros.mapping.camera import PinholeCamera

Image = NDArray[np.float32]


@lru_cache(maxsize=8)
def _rays(camera: PinholeCamera) -> Image:
    """(height, width, 3) points at depth 1 in the camera's frame."""
    return camera.rays().numpy()


class DepthRenderer:
    """Casts one ray through the centre of every pixel, at integer coordinates."""

    def __init__(self, vertices: NDArray[np.float32], triangles: NDArray[np.uint32]) -> None:
        """vertices: (V, 3) world, metres. triangles: (T, 3) vertex indices."""
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(vertices, dtype=np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(triangles, dtype=np.uint32)),
        )

    def render(self, camera: PinholeCamera, T_world_camera: NDArray[np.float64]) -> Image:
        """(height, width) metres along the camera's z; 0 where the ray hits nothing."""
        return self.render_with_cosine(camera, T_world_camera)[0]

    def render_with_cosine(self, camera: PinholeCamera, T_world_camera: NDArray[np.float64]) -> tuple[Image, Image]:
        """Depth as in `render`, and |cosine| between ray and surface normal (1 = head on; 0 where nothing is hit)."""
        rays = np.empty((camera.height, camera.width, 6), dtype=np.float32)
        rays[..., :3] = T_world_camera[:3, 3]
        # einsum stays on one thread: waiting for a second one costs more than this product on a busy machine.
        np.einsum("hwc,dc->hwd", _rays(camera), T_world_camera[:3, :3].astype(np.float32), out=rays[..., 3:])
        hits = self._scene.cast_rays(o3d.core.Tensor(rays))
        # The rays have length 1 along z, not unit length: the hit parameter is the depth.
        depth = hits["t_hit"].numpy()
        miss = ~np.isfinite(depth)
        directions = rays[..., 3:]
        lengths = np.sqrt(np.einsum("hwc,hwc->hw", directions, directions))
        cosine = np.abs(np.einsum("hwc,hwc->hw", directions, hits["primitive_normals"].numpy())) / lengths
        depth[miss] = 0.0
        cosine[miss] = 0.0
        return depth, cosine
