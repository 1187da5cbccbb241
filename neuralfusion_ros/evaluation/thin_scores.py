# SPDX-License-Identifier: Apache-2.0
"""How much of a thin thing is in a mesh, and how much beside it is there only in the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuralfusion_ros.evaluation.method import FloatArray, Triangles
from neuralfusion_ros.evaluation.surfaces import distances_to, sample_surface

RECOVERED_WITHIN_M = 0.01
NEARBY_M = 0.05
_SAMPLES_PER_M2 = 40_000
_MOST_SAMPLES = 400_000


@dataclass(frozen=True)
class ThinScores:
    """recovered: share of points on the thing's true surface with mesh within 1 cm.

    false_nearby: share of the mesh's surface within 5 cm of the thing that is more than 1 cm away from all true
    surface; 0 when there is no mesh nearby. f: harmonic mean of recovered and 1 - false_nearby.
    """

    recovered: float
    false_nearby: float

    @property
    def f(self) -> float:
        """One number for both."""
        right = 1 - self.false_nearby
        return 2 * self.recovered * right / max(self.recovered + right, 1e-9)


def thin_scores(
    mesh: Triangles, thing: Triangles, seen_points: FloatArray, truth: Triangles, seed: int = 0
) -> ThinScores:
    """Compares the mesh of a map with (N, 3) seen points of a thing, N > 0.

    thing, truth: the true surface of the thing and of everything.
    """
    around = _nearby(mesh, thing)
    recovered = float(np.mean(distances_to(seen_points, around) <= RECOVERED_WITHIN_M))
    samples = sample_surface(around, min(round(area_m2(around) * _SAMPLES_PER_M2), _MOST_SAMPLES), seed)
    samples = samples[distances_to(samples, thing) <= NEARBY_M] if len(samples) else samples
    if not len(samples):
        return ThinScores(recovered, 0.0)
    return ThinScores(recovered, float(np.mean(distances_to(samples, truth) > RECOVERED_WITHIN_M)))


def area_m2(mesh: Triangles) -> float:
    """Area of all triangles."""
    if not len(mesh.triangles):
        return 0.0
    a, b, c = (np.asarray(mesh.vertices, dtype=np.float64)[mesh.triangles[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _nearby(mesh: Triangles, thing: Triangles) -> Triangles:
    """The triangles that can come within 5 cm of the thing: whose own box meets the thing's box, that much larger."""
    if not len(mesh.triangles):
        return mesh
    low, high = thing.vertices.min(0) - NEARBY_M, thing.vertices.max(0) + NEARBY_M
    corners = np.asarray(mesh.vertices)[mesh.triangles]
    meets = ((corners.max(1) >= low) & (corners.min(1) <= high)).all(axis=1)
    return Triangles(mesh.vertices, mesh.triangles[meets])
