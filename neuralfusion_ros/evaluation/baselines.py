# SPDX-License-Identifier: Apache-2.0
"""The plain TSDF fusions that the learned map is measured against.

Per score the best of all readings counts, chosen with the truth at hand. That favours the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

from neuralfusion_ros.evaluation.method import FusionMethod, Triangles
from neuralfusion_ros.evaluation.metrics import CROP_MARGIN_M
from neuralfusion_ros.evaluation.open3d_tsdf import Open3dTsdf
from neuralfusion_ros.evaluation.projective_tsdf import TRUNCATIONS_VOXELS, ProjectiveTsdf

OPEN3D_TRUNCATIONS_VOXELS = (2, 4, 8)


def open3d_baselines(
    voxel_size_m: float, max_depth_m: float, truncations: Sequence[int] = OPEN3D_TRUNCATIONS_VOXELS
) -> list[FusionMethod]:
    """Open3D's fusion with every truncation, in voxels."""
    return [Open3dTsdf(voxel_size_m, truncation, max_depth_m) for truncation in truncations]


def tsdf_baselines(mesh: Triangles, voxel_size_m: float, max_depth_m: float) -> list[FusionMethod]:
    """Every plain TSDF fusion: Open3D's, and our own in a box around the true surface `mesh`."""
    margin_m = CROP_MARGIN_M + max(TRUNCATIONS_VOXELS) * voxel_size_m
    low, high = mesh.vertices.min(0) - margin_m, mesh.vertices.max(0) + margin_m
    projective = ProjectiveTsdf(voxel_size_m, low, high, max_depth_m)
    return [*open3d_baselines(voxel_size_m, max_depth_m), projective]
