# SPDX-License-Identifier: Apache-2.0
"""How far a fused map is from the truth: by voxels, by the mesh, and in free space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuralfusion_ros.evaluation.ground_truth import GroundTruth
from neuralfusion_ros.evaluation.method import BoolArray, FloatArray, FusedMap, Triangles
from neuralfusion_ros.evaluation.surfaces import distances_to, sample_surface

F_SCORE_AT_M = (0.01, 0.02, 0.05)
CROP_MARGIN_M = 0.1


@dataclass(frozen=True)
class VoxelScores:
    """Scores over the judged voxels. Unknown voxels count as free space at the truncation.

    mse_mm2, mad_mm: mean squared and mean absolute difference of signed distances, both clipped to the truncation.
    sign_accuracy: share with the right sign. iou, f1: of the voxels inside solids (negative distance).
    unobserved: share that the method does not know.
    """

    mse_mm2: float
    mad_mm: float
    sign_accuracy: float
    iou: float
    f1: float
    unobserved: float


@dataclass(frozen=True)
class MeshScores:
    """accuracy_mm: mean distance from the mesh to the true surface; completeness_mm: from the seen true surface to the
    mesh; both infinite without a mesh. f1cm, f2cm, f5cm: harmonic mean of the shares within 1, 2 and 5 cm.

    The mesh is cropped to the true surface's bounding box plus 10 cm."""

    accuracy_mm: float
    completeness_mm: float
    f1cm: float
    f2cm: float
    f5cm: float


@dataclass(frozen=True)
class MapScores:
    """All scores of one map. free_space_error: share of voxels in truly open space that the map calls solid."""

    name: str
    voxels: VoxelScores
    free_space_error: float
    mesh: MeshScores


def voxel_scores(tsdf_m: FloatArray, known: BoolArray, true_tsdf_m: FloatArray, truncation_m: float) -> VoxelScores:
    """Compares (N,) distances with the truth; `known` says where the method has a value."""
    estimate = np.where(known, np.clip(tsdf_m, -truncation_m, truncation_m), truncation_m).astype(np.float64)
    truth = np.clip(true_tsdf_m, -truncation_m, truncation_m).astype(np.float64)
    error = estimate - truth
    solid, truly_solid = estimate < 0, truth < 0
    both, either = int(np.sum(solid & truly_solid)), int(np.sum(solid | truly_solid))
    return VoxelScores(
        mse_mm2=float(np.mean(error**2)) * 1e6,
        mad_mm=float(np.mean(np.abs(error))) * 1e3,
        sign_accuracy=float(np.mean(solid == truly_solid)),
        iou=both / max(either, 1),
        f1=2 * both / max(both + either, 1),
        unobserved=float(np.mean(~known)),
    )


def free_space_error(tsdf_m: FloatArray, known: BoolArray) -> float:
    """Share of truly free voxels that the method calls solid."""
    return float(np.mean(known & (tsdf_m < 0))) if len(tsdf_m) else 0.0


def mesh_scores(mesh: Triangles, truth: Triangles, seen_surface: FloatArray, seed: int = 0) -> MeshScores:
    """Compares area-uniform samples of the mesh with the true surface, and (S, 3) seen true points with the mesh."""
    samples = sample_surface(mesh, len(seen_surface), seed)
    samples = samples[inside_box(samples, truth.vertices)]
    if not len(samples):
        return MeshScores(np.inf, np.inf, 0.0, 0.0, 0.0)
    to_truth = distances_to(samples, truth)
    to_mesh = distances_to(seen_surface, mesh)
    f_scores = []
    for limit_m in F_SCORE_AT_M:
        precision, recall = float(np.mean(to_truth < limit_m)), float(np.mean(to_mesh < limit_m))
        f_scores.append(2 * precision * recall / max(precision + recall, 1e-9))
    return MeshScores(float(to_truth.mean()) * 1e3, float(to_mesh.mean()) * 1e3, *f_scores)


def score_map(fused: FusedMap, truth: GroundTruth) -> MapScores:
    """All scores of a map of the place that `truth` describes."""
    tsdf_m, known = fused.query(truth.centres)
    free_tsdf_m, free_known = fused.query(truth.free_centres)
    return MapScores(
        fused.name,
        voxel_scores(tsdf_m, known, truth.tsdf_m, truth.truncation_m),
        free_space_error(free_tsdf_m, free_known),
        mesh_scores(fused.mesh(), truth.mesh, truth.surface),
    )


def inside_box(points: FloatArray, around: FloatArray) -> BoolArray:
    """(N,) which of the (N, 3) points lie in the bounding box of (M, 3) `around` plus the margin."""
    inside = (points >= around.min(0) - CROP_MARGIN_M) & (points <= around.max(0) + CROP_MARGIN_M)
    return inside.all(axis=1)
