# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes for Open3D: samples, distances and rays."""

from __future__ import annotations

from collections.abc import Callable

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
    return distance_function(mesh)(points)


def distance_function(mesh: Triangles) -> Callable[[FloatArray], FloatArray]:
    """`distances_to` this mesh, for many calls."""
    if not len(mesh.triangles):
        return lambda points: np.full(len(points), np.inf, dtype=np.float32)
    scene = ray_scene(mesh)

    def distances(points: FloatArray) -> FloatArray:
        found: FloatArray = scene.compute_distance(o3d.core.Tensor(np.ascontiguousarray(points, np.float32))).numpy()
        return found

    return distances


def area_m2(mesh: Triangles) -> float:
    """Area of all triangles."""
    corners = np.asarray(mesh.vertices, np.float64)[mesh.triangles]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(sides, axis=-1).sum() / 2)
