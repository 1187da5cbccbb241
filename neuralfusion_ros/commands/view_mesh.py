# SPDX-License-Identifier: Apache-2.0
"""One mesh marker as a glTF file for a web page."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from neuralfusion_ros.mapping.mesh_points import vertex_normals
from neuralfusion_ros.mapping.meshing import Mesh

# Without a material the page takes the mesh for polished metal.
_MATT = PBRMaterial(metallicFactor=0.0, roughnessFactor=1.0)

# Colours of markers are those of the screen, colours of glTF are proportional to the light.
_GAMMA = 2.2


def triangles_glb(points: npt.NDArray[np.float64], colours: npt.NDArray[np.float32]) -> bytes:
    """(3 T, 3) corners of triangles in metres with their (3 T, 4) colours, to binary glTF with smooth shading."""
    corners = np.ascontiguousarray(points, dtype=np.float32)
    # Corners of neighbours are equal to the bit, and bytes sort faster than rows of numbers.
    _, first, number = np.unique(corners.view("V12").ravel(), return_index=True, return_inverse=True)
    mesh = Mesh(corners[first], number.reshape(-1, 3).astype(np.int32))
    visual = TextureVisuals(material=_MATT)
    visual.vertex_attributes["color"] = (colours[first] ** _GAMMA * 255).round().astype(np.uint8)
    solid = trimesh.Trimesh(
        mesh.vertices, mesh.triangles, vertex_normals=vertex_normals(mesh), visual=visual, process=False
    )
    glb: bytes = solid.export(file_type="glb", include_normals=True)
    return glb
