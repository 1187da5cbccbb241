# SPDX-License-Identifier: Apache-2.0
"""The part of a true surface that some view saw, as a mesh of its own: what a map can be compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuralfusion_ros.evaluation.ground_truth import Float32Array, seen_surface
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.view import View
from neuralfusion_ros.mapping.meshing import Mesh

_LONGEST_EDGE_M = 0.04


def seen_mesh(mesh: Triangles, views: Sequence[View]) -> Mesh:
    """The mesh in pieces of at most 4 cm, those whose middle agrees with the depth of some view. May be empty."""
    corners = _in_pieces(np.asarray(mesh.vertices, np.float32)[mesh.triangles])
    seen = corners[seen_surface(corners.mean(axis=1), views)]
    return Mesh(seen.reshape(-1, 3), np.arange(3 * len(seen), dtype=np.int32).reshape(-1, 3))


def _in_pieces(corners: Float32Array) -> Float32Array:
    """(T, 3, 3) triangles, halved at their longest edge until none is longer than allowed."""
    done = []
    while len(corners):
        edges = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2)
        long = edges.max(axis=1) > _LONGEST_EDGE_M
        done.append(corners[~long])
        # Turned so that the longest edge goes from corner 0 to corner 1.
        turn = (edges[long].argmax(axis=1)[:, None] + np.arange(3)) % 3
        a, b, c = (corners[long][np.arange(len(turn)), corner] for corner in turn.T)
        middle = (a + b) / 2
        corners = np.concatenate((np.stack((a, middle, c), axis=1), np.stack((middle, b, c), axis=1)))
    return np.concatenate(done)
