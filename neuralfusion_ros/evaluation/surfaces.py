# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes for Open3D: samples, distances and rays."""

from __future__ import annotations

import numpy as np
import open3d as o3d

from neuralfusion_ros.evaluation.method import FloatArray, Triangles


def legacy_mesh(mesh: Triangles) -> o3d.geometry.TriangleMesh:
    """The mesh as Open3D's older class, which can be sampled."""
    return o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(np.asarray(mesh.vertices, dtype=np.float64)),
        o3d.utility.Vector3iVector(np.asarray(mesh.triangles, dtype=np.int32)),
    )


def ray_scene(mesh: Triangles) -> o3d.t.geometry.RaycastingScene:
    """The mesh prepared for distances and rays."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(np.ascontiguousarray(mesh.vertices, dtype=np.float32)),
        o3d.core.Tensor(np.ascontiguousarray(mesh.triangles, dtype=np.uint32)),
    )
    return scene


def sample_surface(mesh: Triangles, count: int, seed: int) -> FloatArray:
    """(count, 3) points of the mesh, uniform over its area; none of an empty mesh."""
    if not len(mesh.triangles) or not count:
        return np.zeros((0, 3), dtype=np.float32)
    o3d.utility.random.seed(seed)
    return np.asarray(legacy_mesh(mesh).sample_points_uniformly(count).points, dtype=np.float32)


def distances_to(points: FloatArray, mesh: Triangles) -> FloatArray:
    """(N,) metres from (N, 3) points to the mesh; infinite to an empty one."""
    if not len(mesh.triangles):
        return np.full(len(points), np.inf, dtype=np.float32)
    at = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
    distances: FloatArray = ray_scene(mesh).compute_distance(at).numpy()
    return distances
