# SPDX-License-Identifier: Apache-2.0
"""A triangle mesh as one eye sees it: as a rule without the triangles that face away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import open3d as o3d

Floats = npt.NDArray[np.float32]

_CREASE_COSINE = np.cos(np.radians(35.0))


class Triangles:
    """A mesh whose triangles are counter-clockwise seen from free space.

    vertices: (V, 3) metres. triangles: (T, 3) vertex numbers. normals: (T, 3) as long as twice the triangle's area.
    vertex_normals: (V, 3) of length 1, 0 where no triangle is.
    """

    def __init__(self, vertices: Floats, triangles: npt.NDArray[np.int32]) -> None:
        self.vertices = np.ascontiguousarray(vertices, np.float32)
        self.triangles = np.asarray(triangles, np.int64)
        a, b, c = (self.vertices[corner] for corner in self.triangles.T)
        self.normals = np.cross(b - a, c - a)
        sums = [
            sum(np.bincount(corner, self.normals[:, axis], len(self.vertices)) for corner in self.triangles.T)
            for axis in range(3)
        ]
        self.vertex_normals = unit(np.stack(sums, axis=1).astype(np.float32))

    def sample(self, count: int) -> tuple[Floats, Floats]:
        """(count, 3) points spread evenly over the surface, always the same ones, and their triangles' normals."""
        rng = np.random.default_rng(0)
        area = np.linalg.norm(self.normals, axis=1).astype(np.float64) + 1e-12
        chosen = rng.choice(len(area), count, p=area / area.sum())
        weights = rng.dirichlet((1, 1, 1), count).astype(np.float32)
        return np.einsum("nk,nkc->nc", weights, self.vertices[self.triangles[chosen]]), self.normals[chosen]


@dataclass(frozen=True)
class Hits:
    """Where rays met a surface.

    hit: (N,) bool, which rays did. points, normals: (M, 3) of those that did; the normals are on the eye's side and
    smooth but at creases. corners, weights: (M, 3) vertices of the triangle that was hit, their shares in the point.
    """

    hit: npt.NDArray[np.bool_]
    points: Floats
    normals: Floats
    corners: npt.NDArray[np.int64]
    weights: Floats


class FrontFaces:
    """The triangles of a mesh that face an eye. One looks through the others, such as ceilings and near walls.

    both_sides: take all triangles, for a mesh whose triangles may be turned either way.
    """

    def __init__(self, mesh: Triangles, eye: Floats, both_sides: bool = False) -> None:
        corners = mesh.vertices[mesh.triangles[:, 0]]
        towards_eye = np.einsum("tc,tc->t", mesh.normals, eye - corners)
        self._mesh = mesh
        self._triangles = mesh.triangles[(towards_eye > 0) | both_sides]
        self._scene = o3d.t.geometry.RaycastingScene()
        if len(self._triangles):
            self._scene.add_triangles(
                o3d.core.Tensor(mesh.vertices), o3d.core.Tensor(np.ascontiguousarray(self._triangles, np.uint32))
            )

    def distances(self, origins: Floats, directions: Floats) -> Floats:
        """(N,) how often the directions (N, 3) fit up to the first hit, infinite without one. origins: (N or 1, 3)."""
        return self._cast(origins, directions)["t_hit"].numpy()

    def hits(self, origin: Floats, directions: Floats) -> Hits:
        """Where rays from (3,) along (N, 3) meet the surface."""
        answer = self._cast(origin, directions)
        length = answer["t_hit"].numpy()
        hit = np.isfinite(length)
        corners = self._triangles[answer["primitive_ids"].numpy()[hit].astype(np.int64)]
        flat = unit(answer["primitive_normals"].numpy()[hit])
        side = np.where(np.einsum("nc,nc->n", flat, directions[hit]) > 0, np.float32(-1), np.float32(1))
        u, v = answer["primitive_uvs"].numpy()[hit].T
        weights = np.stack((1 - u - v, u, v), axis=1)
        smooth = unit(np.einsum("nk,nkc->nc", weights, self._mesh.vertex_normals[corners]))
        crease = np.einsum("nc,nc->n", flat, smooth) < _CREASE_COSINE
        normals = side[:, None] * np.where(crease[:, None], flat, smooth)
        return Hits(hit, origin + directions[hit] * length[hit, None], normals, corners, weights)

    def _cast(self, origins: Floats, directions: Floats) -> dict[str, o3d.core.Tensor]:
        rays = np.concatenate((np.broadcast_to(origins, directions.shape), directions), axis=1)
        return self._scene.cast_rays(o3d.core.Tensor(rays.astype(np.float32, copy=False)))


def unit(vectors: Floats) -> Floats:
    """(N, 3) vectors made 1 long; those of length 0 stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
