# SPDX-License-Identifier: Apache-2.0
"""True signed distances of a synthetic sequence, where its clean views can decide them.

The meshes of furniture are not watertight, so inside and outside come from the views: a voxel that lies in front of
the surface in some clean view is outside. The distance itself is the exact one to the mesh. A voxel is judged when
- it lies within BAND_VOXELS of the surface,
- some clean view sees it: inside the image and at most the truncation behind the measured depth, and
- some clean view sees the point of the surface nearest to it. Otherwise no method could know the distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import open3d as o3d
import torch

from neuralfusion_ros.evaluation.method import BoolArray, Triangles
from neuralfusion_ros.evaluation.surfaces import legacy_mesh, ray_scene
from neuralfusion_ros.evaluation.view import View

TRUNCATION_VOXELS = 2
BAND_VOXELS = 4
_CELL_VOXELS = 4
_SEEN_WITHIN_M = 0.01
_CHUNK = 1 << 16
SAMPLES = 200_000

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GroundTruth:
    """What every method is compared with.

    centres, tsdf_m: (N, 3) judged voxel centres and (N,) their true signed distances, clipped to truncation_m.
    free_centres: (F, 3) voxel centres in open space, farther from every surface than the judged ones.
    surface: (S, 3) points of the true surface that the views saw, uniform over its area.
    mesh: the whole true surface. All lengths in metres.
    """

    voxel_size_m: float
    truncation_m: float
    centres: Float32Array
    tsdf_m: Float32Array
    free_centres: Float32Array
    surface: Float32Array
    mesh: Triangles


class _Surface:
    """The true mesh with fast nearest points."""

    def __init__(self, mesh: Triangles) -> None:
        self.mesh = legacy_mesh(mesh)
        self.scene = ray_scene(mesh)
        self.low, self.high = mesh.vertices.min(0), mesh.vertices.max(0)

    def nearest(self, points: Float32Array) -> Float32Array:
        """(N, 3) nearest points of the surface."""
        closest: Float32Array = self.scene.compute_closest_points(o3d.core.Tensor(points))["points"].numpy()
        return closest

    def sample(self, count: int, rng: np.random.Generator) -> Float32Array:
        """(count, 3) points, uniform over the area."""
        o3d.utility.random.seed(int(rng.integers(1 << 31)))
        return np.asarray(self.mesh.sample_points_uniformly(count).points, dtype=np.float32)


def build_ground_truth(
    mesh: Triangles,
    views: Sequence[View],
    voxel_size_m: float,
    samples: int = SAMPLES,
    truncation_voxels: int = TRUNCATION_VOXELS,
    seed: int = 0,
) -> GroundTruth:
    """The truth for the clean `views` of the geometry in `mesh`.

    samples: points drawn on the surface, and voxels drawn in free space, before the views choose among them.
    """
    rng = np.random.default_rng(seed)
    surface = _Surface(mesh)
    truncation_m = truncation_voxels * voxel_size_m
    centres, tsdf_m = [], []
    for candidates in _cells_near(surface, voxel_size_m):
        found = _judge(candidates, surface, views, truncation_m, voxel_size_m)
        centres.append(found[0])
        tsdf_m.append(found[1].clip(-truncation_m, truncation_m))
    points = surface.sample(samples, rng)
    return GroundTruth(
        voxel_size_m,
        truncation_m,
        np.concatenate(centres),
        np.concatenate(tsdf_m),
        _free_space(surface, views, voxel_size_m, samples, rng),
        points[seen_surface(points, views)],
        mesh,
    )


def seen_part(truth: GroundTruth, views: Sequence[View]) -> GroundTruth:
    """Only what these clean views, some of those of the truth, could see; the distances stay those of all views."""
    near, _ = _seen_and_outside(truth.centres, views, truth.truncation_m)
    near[near] = seen_surface(_Surface(truth.mesh).nearest(truth.centres[near]), views)
    _, looked_through = _seen_and_outside(truth.free_centres, views, 0.0)
    return replace(
        truth,
        centres=truth.centres[near],
        tsdf_m=truth.tsdf_m[near],
        free_centres=truth.free_centres[looked_through],
        surface=truth.surface[seen_surface(truth.surface, views)],
    )


def _cells_near(surface: _Surface, voxel_size_m: float) -> Iterator[Float32Array]:
    """(N, 3) centres of all voxels near the surface, in chunks; found by cells of 4x4x4 voxels."""
    cell_m = _CELL_VOXELS * voxel_size_m
    margin_m = BAND_VOXELS * voxel_size_m
    first = np.floor((surface.low - margin_m) / cell_m).astype(np.int64)
    last = np.floor((surface.high + margin_m) / cell_m).astype(np.int64)
    cells = np.stack(np.meshgrid(*map(np.arange, first, last + 1), indexing="ij"), axis=-1).reshape(-1, 3)
    cell_centres = ((cells + 0.5) * cell_m).astype(np.float32)
    distance = surface.scene.compute_distance(o3d.core.Tensor(cell_centres)).numpy()
    cells = cells[distance <= margin_m + 3**0.5 / 2 * cell_m]
    axis = np.arange(_CELL_VOXELS)
    inside = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    per_chunk = _CHUNK // len(inside)
    for start in range(0, len(cells), per_chunk):
        voxels = cells[start : start + per_chunk, None] * _CELL_VOXELS + inside
        yield ((voxels.reshape(-1, 3) + 0.5) * voxel_size_m).astype(np.float32)


def _judge(
    centres: Float32Array, surface: _Surface, views: Sequence[View], truncation_m: float, voxel_size_m: float
) -> tuple[Float32Array, Float32Array]:
    """The voxels among (N, 3) candidates that can be judged, (M, 3), and their signed distances, (M,)."""
    seen, outside = _seen_and_outside(centres, views, truncation_m)
    centres, outside = centres[seen], outside[seen]
    nearest = surface.nearest(centres)
    distance = np.linalg.norm(centres - nearest, axis=1)
    near = distance <= BAND_VOXELS * voxel_size_m
    near[near] = seen_surface(nearest[near], views)
    return centres[near], np.where(outside, distance, -distance)[near]


def _seen_and_outside(points: Float32Array, views: Sequence[View], behind_m: float) -> tuple[BoolArray, BoolArray]:
    """Per (N, 3) point: some view sees it or at most behind_m in front of it; it is in front of a surface."""
    at = torch.from_numpy(points)
    seen, outside = torch.zeros(len(at), dtype=torch.bool), torch.zeros(len(at), dtype=torch.bool)
    for view in views:
        rows, ahead = _ahead_of(view, at, ~outside, behind_m)
        seen[rows] |= ahead >= -behind_m
        outside[rows] = ahead > 0
    return seen.numpy(), outside.numpy()


def seen_surface(points: Float32Array, views: Sequence[View]) -> BoolArray:
    """(N,) bool: the (N, 3) point of the surface agrees with the depth of some view."""
    at = torch.from_numpy(np.ascontiguousarray(points))
    seen = torch.zeros(len(at), dtype=torch.bool)
    for view in views:
        rows, ahead = _ahead_of(view, at, ~seen, _SEEN_WITHIN_M)
        seen[rows] = ahead.abs() <= _SEEN_WITHIN_M
    return seen.numpy()


def _ahead_of(
    view: View, points: torch.Tensor, asked: torch.Tensor, behind_m: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of those (N, 3) points that are asked for, (N,) bool, and seen in the image on a pixel with depth.

    Beside it how far, in metres along z, each lies in front of the surface; negative behind it.
    """
    rows = asked.nonzero().squeeze(-1)
    rows = rows[view.spheres_in_view(points[rows], 0.0, behind_m)]
    points_camera = view.to_camera(points[rows])
    depth = view.surface_depth(points_camera)
    measured = depth > 0
    return rows[measured], (depth - points_camera[:, 2])[measured]


def _free_space(
    surface: _Surface, views: Sequence[View], voxel_size_m: float, samples: int, rng: np.random.Generator
) -> Float32Array:
    """Random voxel centres that some view looks through, farther from the surface than the judged voxels."""
    voxels = np.floor(rng.uniform(surface.low, surface.high, (samples, 3)) / voxel_size_m)
    centres = ((voxels + 0.5) * voxel_size_m).astype(np.float32)
    _, outside = _seen_and_outside(centres, views, 0.0)
    centres = centres[outside]
    distance = surface.scene.compute_distance(o3d.core.Tensor(centres)).numpy()
    return centres[distance > BAND_VOXELS * voxel_size_m]
