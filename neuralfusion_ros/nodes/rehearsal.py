# SPDX-License-Identifier: Apache-2.0
"""What the first blocks would otherwise wait for: kernels are compiled, or read from their cache, libraries loaded."""

from __future__ import annotations

import numpy as np
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS
from neuralfusion_ros.mapping.chunks import TSDF
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.voxel_state import MEAN, WEIGHT, n_channels
from neuralfusion_ros.messages.latent_blocks import BlockMessage, decode_blocks, encode_blocks
from neuralfusion_ros.nodes.block_sender import model_hash
from neuralfusion_ros.nodes.latent_copy import LatentCopy
from neuralfusion_ros.nodes.mesh_stream import MeshStream

_MAX_BYTES = 1 << 20


def rehearse(model: LatentModel, device: torch.device) -> list[bytes]:
    """Takes one block with a surface from a message to a mesh. Returns the messages of the mesh; nobody needs them."""
    copy, stream = LatentCopy(model, device, _MAX_BYTES), MeshStream()
    block = _one_block(model)
    copy.apply(decode_blocks(encode_blocks(block)))
    assert copy.surface is not None
    copy.surface.mark_changed(copy.take_changed().to(device))
    copy.surface.translate()
    # What a model makes of states that nobody has seen is its own affair. There is to be a surface to mesh.
    copy.surface.grid.values[..., TSDF] = torch.from_numpy(block.states[..., MEAN]).to(device)
    stream.add(copy.surface.mesh_changed_chunks())
    return list(stream.take("map", 0))


def _one_block(model: LatentModel) -> BlockMessage:
    """Half of it in front of a surface that was seen often, and half behind."""
    states = np.zeros((1, BLOCK_VOXELS, n_channels(model.architecture.latent_channels)), np.float16)
    states[..., WEIGHT] = 20.0
    height_voxels = np.arange(BLOCK_VOXELS) % BLOCK_SIZE + 0.5 - BLOCK_SIZE / 2
    states[0, :, MEAN] = height_voxels / (BLOCK_SIZE / 2)
    return BlockMessage(
        stamp_ns=0,
        frame_id="map",
        map_id=0,
        sequence=0,
        voxel_size_m=1.0,
        model_hash=model_hash(model.sha256),
        first_of_full=True,
        n_blocks_total=1,
        keys=np.zeros((1, 3), np.int32),
        states=states,
        removed=np.zeros((0, 3), np.int32),
    )
