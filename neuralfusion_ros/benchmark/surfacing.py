# SPDX-License-Identifier: Apache-2.0
"""What it costs to turn changed blocks into triangles and messages."""

from __future__ import annotations

import numpy as np
import torch

from neuralfusion_ros.benchmark.stages import Stages
from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.messages.latent_blocks import BlockMessage, encode_blocks
from neuralfusion_ros.messages.markers import ChunkMesh, marker_array_bytes
from neuralfusion_ros.messages.mesh_colours import mesh_colours

_ROUNDS = 3


def time_surface(surface: SurfaceMap, changed: torch.Tensor) -> tuple[Stages, dict[str, int]]:
    """Times for a few rounds in which the (N, 3) blocks have changed. Returns them, and counts of one round.

    surface: of a map that has been meshed as a whole.
    """
    stages = Stages(surface.latent.device)
    counts: dict[str, int] = {}
    for _ in range(_ROUNDS):
        with stages.time("publish"):
            stream_bytes = _stream_bytes(surface.latent, changed)
        surface.mark_changed(changed)
        decoded = surface.pending
        with stages.time("translate"):
            surface.translate()
        with stages.time("mesh"):
            meshes = surface.mesh_changed_chunks()
        with stages.time("encode"):
            marker_bytes = len(marker_array_bytes("map", 0, _chunks(meshes)))
        counts = {
            "blocks_changed": len(changed),
            "blocks_decoded": decoded,
            "chunks_meshed": len(meshes),
            "triangles": sum(len(mesh.triangles) for mesh in meshes.values()),
            "stream_bytes": stream_bytes,
            "marker_bytes": marker_bytes,
        }
    return stages, counts


def _stream_bytes(grid: BlockGrid, changed: torch.Tensor) -> int:
    rows = grid.find(changed)
    message = BlockMessage(
        stamp_ns=0,
        frame_id="map",
        map_id=1,
        sequence=0,
        voxel_size_m=grid.voxel_size_m,
        model_hash=0,
        first_of_full=False,
        n_blocks_total=grid.n_blocks,
        keys=changed.cpu().numpy(),
        states=grid.values[rows].cpu().numpy(),
        removed=np.zeros((0, 3), np.int32),
    )
    return len(encode_blocks(message))


def _chunks(meshes: dict[tuple[int, int, int], Mesh]) -> list[ChunkMesh]:
    return [
        ChunkMesh(number, mesh.vertices, mesh.triangles, mesh_colours(mesh))
        for number, mesh in enumerate(meshes.values())
        if len(mesh.triangles)
    ]
