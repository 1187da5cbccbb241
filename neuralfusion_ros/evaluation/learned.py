# SPDX-License-Identifier: Apache-2.0
"""The learned latent map as a method to evaluate."""

from __future__ import annotations

import numpy as np

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.method import BoolArray, FloatArray, FusedMap, Triangles
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.surface_map import SurfaceMap


class LearnedFusion:
    """Wraps a Mapper. It has one reading: itself."""

    name = "learned"

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def integrate(self, frame: Frame, camera: PinholeCamera) -> None:
        """Adds one frame."""
        self._mapper.integrate(frame.depth_m, frame.T_world_camera, camera)

    def maps(self) -> list[FusedMap]:
        """The one map."""
        return [self]

    def query(self, centres: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Signed distance in metres and whether it is known, both (N,), at (N, 3) voxel centres."""
        result = self._mapper.query(np.asarray(centres, dtype=np.float64))
        return result.tsdf_m, result.known

    def mesh(self) -> Triangles:
        """The mesh of the whole map."""
        mesh = self._mapper.mesh()
        return Triangles(mesh.vertices, mesh.triangles)

    def finer_mesh(self, subdivision: int) -> Triangles:
        """The mesh with that many vertices for each voxel's edge, as `fuse --mesh-resolution` makes it."""
        surface = SurfaceMap(self._mapper.grid, self._mapper.model.translator, subdivision)
        surface.mark_changed(self._mapper.grid.keys)
        mesh = surface.mesh()
        return Triangles(mesh.vertices, mesh.triangles)
