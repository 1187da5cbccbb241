# SPDX-License-Identifier: Apache-2.0
"""Colours of the mesh by choice: some show its shape, others what the latent map holds there."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.latent_colours import Floats, LatentColours, fit_colours
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.surface_evidence import evidence_at
from neuralfusion_ros.messages.mesh_colours import (
    LATENT,
    SHAPE_COLOURS,
    UNCERTAINTY,
    mesh_colours,
    shaded,
    uncertainty_colours,
)

_FIT_VERTICES = 1000
_FIT_WEIGHT = 3.0
_DARKEST = 0.25  # so that the slope can be seen everywhere


class MeshPainter:
    """choice: one of messages/mesh_colours.COLOURS; may be changed.

    Latent vectors become colours by their principal components. These are found once, when enough of the surface was
    seen more than once or twice, and kept until a new map begins: the same vector always has the same colour. Until
    then the mesh is plain.
    """

    def __init__(self, choice: str) -> None:
        self.choice = choice
        self._components: LatentColours | None = None

    def start_new_map(self) -> None:
        """Forgets the principal components."""
        self._components = None

    def learn(self, meshes: Collection[Mesh], latent: BlockGrid) -> bool:
        """Finds the principal components if they are wanted and missing. True: all was painted without them so far."""
        if self.choice != LATENT or self._components is not None:
            return False
        if sum(len(mesh.vertices) for mesh in meshes) < _FIT_VERTICES:
            return False
        evidence = evidence_at(latent, np.concatenate([mesh.vertices for mesh in meshes]))
        known = evidence.latent[evidence.weight >= _FIT_WEIGHT]
        if len(known) < _FIT_VERTICES:
            return False
        self._components = fit_colours(known)
        return True

    def colours(self, mesh: Mesh, latent: BlockGrid) -> Floats:
        """(V, 3) red, green and blue in 0..1 of the vertices of a mesh of this latent map."""
        choice = self.choice
        if choice in SHAPE_COLOURS:
            return mesh_colours(mesh, choice)
        if choice == UNCERTAINTY:
            return shaded(mesh, uncertainty_colours(evidence_at(latent, mesh.vertices).uncertainty))
        if self._components is None:
            return mesh_colours(mesh, "plain")
        hues = self._components.colours(evidence_at(latent, mesh.vertices).latent)
        return shaded(mesh, _DARKEST + (1 - _DARKEST) * hues)
