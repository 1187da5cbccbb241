# SPDX-License-Identifier: Apache-2.0
"""The pages of results that `neuralfusion evaluate` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuralfusion_ros.evaluation.ground_truth import BAND_VOXELS, TRUNCATION_VOXELS
from neuralfusion_ros.evaluation.holdout import HoldoutScores
from neuralfusion_ros.evaluation.learned import LearnedFusion
from neuralfusion_ros.evaluation.metrics import MapScores
from neuralfusion_ros.evaluation.tables import Column, conditions_text, markdown_table, score_table

ROOM_COLUMNS: tuple[Column[MapScores], ...] = (
    Column("MAD mm", lambda s: s.voxels.mad_mm, ".2f", min),
    Column("MSE mm²", lambda s: s.voxels.mse_mm2, ".1f", min),
    Column("IoU", lambda s: s.voxels.iou, ".3f", max),
    Column("F1", lambda s: s.voxels.f1, ".3f", max),
    Column("sign", lambda s: s.voxels.sign_accuracy, ".3f", max),
    Column("unknown", lambda s: s.voxels.unobserved, ".3f", min),
    Column("false solid", lambda s: s.free_space_error, ".5f", min),
    Column("accuracy mm", lambda s: s.mesh.accuracy_mm, ".2f", min),
    Column("completeness mm", lambda s: s.mesh.completeness_mm, ".2f", min),
    Column("F 1 cm", lambda s: s.mesh.f1cm, ".3f", max),
    Column("F 2 cm", lambda s: s.mesh.f2cm, ".3f", max),
    Column("F 5 cm", lambda s: s.mesh.f5cm, ".3f", max),
)
_SUMMARY = ("MAD mm", "IoU", "accuracy mm", "F 1 cm", "F 2 cm")

HOLDOUT_COLUMNS: tuple[Column[HoldoutScores], ...] = (
    Column("within 2 cm", lambda s: s.within_2cm, ".4f", max),
    Column("within 5 cm", lambda s: s.within_5cm, ".4f", max),
    Column("missing", lambda s: s.missing, ".4f", min),
    Column("floating", lambda s: s.floating, ".4f", min),
)

_ROOMS_TEXT = f"""Synthetic rooms with simulated sensor noise against their exact geometry.

- Judged are the voxels within {BAND_VOXELS} voxels of the surface that the clean views decide: seen, or at most
  {TRUNCATION_VOXELS} voxels behind a seen surface. All methods are judged on the same voxels. A voxel that a method
  does not know counts as free space; their share is in "unknown".
- MAD, MSE: difference of signed distances, clipped to {TRUNCATION_VOXELS} voxels. IoU, F1, sign: of the solid voxels.
- false solid: share of voxels in open space that the map calls solid.
- accuracy: mean distance from the mesh to the true surface; completeness: from the seen true surface to the mesh.
  F: harmonic mean of the shares within a distance.
- Plain TSDF fusion is run in many variants: Open3D's VoxelBlockGrid (truncation 2, 4, 8 voxels; weight above 1, 3, 5)
  and our own (truncation 2, 4, 8 voxels; without and with carving of free space; at least 1 or 3 sightings).
  "best TSDF" is the best variant of each score, chosen with the truth at hand.
"""
_HOLDOUT_TEXT = """A real recording without ground truth. Every second frame is fused. The mesh is seen from the poses
of the other frames and compared with their measured depth. Shares are of all measured pixels within the maximal depth.

- within: the predicted depth differs by at most that. A pixel without prediction counts as not within.
- missing: no surface on the ray. floating: the surface is more than 5 cm nearer than the measurement.
"""

RoomResults = Mapping[tuple[str, str], Sequence[MapScores]]


def rooms_page(results: RoomResults, conditions: Mapping[str, object]) -> str:
    """results: scores of all maps by (room, level of noise)."""
    page = f"# Rooms\n\n{_ROOMS_TEXT}\n{conditions_text(conditions)}\n## Learned map and best TSDF\n\n"
    page += _rooms_summary(results)
    for (room, level), scores in results.items():
        page += f"\n## {room}, {level}\n\n{score_table(scores, [s.name for s in scores], ROOM_COLUMNS)}"
    return page


def _rooms_summary(results: RoomResults) -> str:
    columns = [column for column in ROOM_COLUMNS if column.title in _SUMMARY]
    header = ["room, noise", "method", *(column.title for column in columns)]
    lines = []
    for (room, level), scores in results.items():
        learned = [s for s in scores if s.name == LearnedFusion.name]
        plain = [s for s in scores if s.name != LearnedFusion.name]
        lines += [[f"{room}, {level}", s.name, *(c.text(s) for c in columns)] for s in learned]
        if plain:
            best = [c.best_of(plain) for c in columns]
            cells = [f"{c.text(b)} ({b.name})" for c, b in zip(columns, best, strict=True)]
            lines.append([f"{room}, {level}", "best TSDF", *cells])
    return markdown_table(header, lines)


def holdout_page(name: str, results: Mapping[str, HoldoutScores], conditions: Mapping[str, object]) -> str:
    """results: scores by the name of the map."""
    table = score_table(list(results.values()), list(results), HOLDOUT_COLUMNS)
    return f"# Held-out frames of {name}\n\n{_HOLDOUT_TEXT}\n{conditions_text(conditions)}\n{table}"
