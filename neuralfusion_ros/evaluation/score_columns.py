# SPDX-License-Identifier: Apache-2.0
"""The scores of a map as columns, and what the pages say about them."""

from __future__ import annotations

from neuralfusion_ros.evaluation.ground_truth import BAND_VOXELS, TRUNCATION_VOXELS
from neuralfusion_ros.evaluation.metrics import MapScores, MeshScores
from neuralfusion_ros.evaluation.tables import Column

MESH_COLUMNS: tuple[Column[MeshScores], ...] = (
    Column("accuracy mm", lambda s: s.accuracy_mm, ".2f", min),
    Column("completeness mm", lambda s: s.completeness_mm, ".2f", min),
    Column("F 1 cm", lambda s: s.f1cm, ".3f", max),
    Column("F 2 cm", lambda s: s.f2cm, ".3f", max),
    Column("F 5 cm", lambda s: s.f5cm, ".3f", max),
)


def _of_the_mesh(column: Column[MeshScores]) -> Column[MapScores]:
    return Column(column.title, lambda s: column.value(s.mesh), column.form, column.best)


MAP_COLUMNS: tuple[Column[MapScores], ...] = (
    Column("MAD mm", lambda s: s.voxels.mad_mm, ".2f", min),
    Column("MSE mm²", lambda s: s.voxels.mse_mm2, ".1f", min),
    Column("IoU", lambda s: s.voxels.iou, ".3f", max),
    Column("F1", lambda s: s.voxels.f1, ".3f", max),
    Column("sign", lambda s: s.voxels.sign_accuracy, ".3f", max),
    Column("unknown", lambda s: s.voxels.unobserved, ".3f", min),
    Column("false solid", lambda s: s.free_space_error, ".5f", min),
    *map(_of_the_mesh, MESH_COLUMNS),
)

METRICS_TEXT = f"""- Judged are the voxels within {BAND_VOXELS} voxels of the surface that the clean views decide:
  seen, or at most {TRUNCATION_VOXELS} voxels behind a seen surface. All methods are judged on the same voxels. A voxel
  that a method does not know counts as free space; their share is in "unknown".
- MAD, MSE: difference of signed distances, clipped to {TRUNCATION_VOXELS} voxels. IoU, F1, sign: of the solid voxels.
- false solid: share of voxels in open space that the map calls solid.
- accuracy: mean distance from the mesh to the true surface; completeness: from the seen true surface to the mesh.
  F: harmonic mean of the shares within a distance.
"""
BASELINES_TEXT = """- Plain TSDF fusion is run in many variants: Open3D's VoxelBlockGrid (truncation 2, 4, 8 voxels;
  weight above 1, 3, 5) and our own (truncation 2, 4, 8 voxels; without and with carving of free space; at least 1 or 3
  sightings), the wider two bands of ours also through a median filter of 3x3x3 voxels or a Gaussian of one voxel (TSDF
  + 3-D filter). "best TSDF" is the best variant of each score in each room, chosen with the truth at hand.
  So the best accuracy can be that of a variant that leaves most of the room out: read it with completeness and F.
"""
NOISE_TEXT = """- Noise is simulated, independent from frame to frame and given by the seed. It does not know the angle
  of a surface, so grazing views leave no holes.
"""


def map_column(title: str) -> Column[MapScores]:
    """The column with this title."""
    return next(column for column in MAP_COLUMNS if column.title == title)
