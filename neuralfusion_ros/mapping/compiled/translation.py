# SPDX-License-Identifier: Apache-2.0
"""Step 4, translate, on a CPU: compiled, and only for the voxels that are asked about."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.compiled.decide import Layers, decide, gelu, lay_out
from neuralfusion_ros.mapping.compiled.evidence import LOG1P_THIRD, evidence_features
from neuralfusion_ros.mapping.compiled.half import to_float
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.layers import grouped
from neuralfusion_ros.mapping.compiled.table import Table, find, pack, table_of
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.compiled.vector_sums import OUTPUTS, PLACES, add_products
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.translate import FREE_SPACE, HALO, TranslatorNetwork
from neuralfusion_ros.mapping.translation import Translation
from neuralfusion_ros.mapping.voxel_state import EVIDENCE_FEATURES, N_EVIDENCE, WEIGHT

_EDGE = BLOCK_SIZE + 2 * HALO
_ROOM = BLOCK_VOXELS + PLACES  # the last places may be filled up
_LEAST_PER_THREAD = 16


class CompiledTranslation(Translation):
    """The same results as Translation up to rounding, for a map in half precision. Without gradients.

    It keeps the weights that the network has when it is made. All cores share the blocks.
    """

    blocks_at_once: ClassVar[int] = 256

    def __init__(self, network: TranslatorNetwork, latent: BlockGrid, subdivision: int = 1) -> None:
        super().__init__(network, latent, subdivision)
        self._convolutions, self._layers = _laid_out(network), lay_out(network, self._offsets)

    def translated(self, keys: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(keys), BLOCK_VOXELS, len(self._offsets))
        tsdf, occupancy = (np.full(shape, free, np.float32) for free in FREE_SPACE)
        block_keys, where = keys.to(torch.int64).numpy(), wanted.numpy()
        states, table = self.latent.values.numpy().view(np.uint16), table_of(self.latent.index)

        def translate(part: slice) -> None:
            _translate(
                states, table, block_keys[part], where[part], LOG1P_THIRD, self._convolutions, self._layers,
                tsdf[part], occupancy[part],
            )  # fmt: skip

        in_threads(translate, len(keys), _LEAST_PER_THREAD)
        return torch.from_numpy(tsdf), torch.from_numpy(occupancy)


class _Convolutions(NamedTuple):
    """Weights of both convolutions, in groups of OUTPUTS outputs; the last group is filled up with zeros."""

    near: Floats  # (groups, 3, 3, 3 * F, OUTPUTS)
    far: Floats  # the same
    bias: Floats  # (groups, OUTPUTS)


@torch.no_grad()
def _laid_out(network: TranslatorNetwork) -> _Convolutions:
    def weights(convolution: torch.nn.Conv3d) -> Floats:
        by_place = convolution.weight.movedim(1, -1)  # (width, 3, 3, 3, F)
        return grouped(by_place.flatten(start_dim=3)).numpy()

    bias = grouped(network.near.bias).numpy()  # type: ignore[arg-type]
    return _Convolutions(weights(network.near), weights(network.far), bias)


@kernel
def _translate(
    values: npt.NDArray[np.uint16],
    table: Table,
    keys: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.bool_],
    log1p_third: Floats,
    convolutions: _Convolutions,
    layers: Layers,
    tsdf: Floats,
    occupancy: Floats,
) -> None:
    """Writes (B, 512, K) signed distances and occupancies of (B, 3) blocks where the network is asked.

    values: (n_blocks, 512, C) halves of the map. wanted: (B, 512).
    """
    n_features, groups = values.shape[-1] - N_EVIDENCE + EVIDENCE_FEATURES, len(convolutions.bias)
    volume = np.empty((_EDGE, _EDGE, _EDGE, n_features), np.float32)
    measured = np.empty(volume.shape[:-1], np.bool_)
    asked, steps = np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int64)
    features = np.empty((_ROOM, n_features), np.float32)
    context, hidden = np.empty((groups, _ROOM, OUTPUTS), np.float32), np.empty((2, groups, _ROOM, OUTPUTS), np.float32)
    for b in range(len(keys)):
        _read_block(values, table, keys[b], log1p_third, volume, measured)
        n = _ask(measured, volume, wanted[b], asked, steps, features)
        _convolve(volume, steps, n, convolutions, context)
        for group in range(groups):
            gelu(context[group], n)
        for k in range(tsdf.shape[-1]):
            heads = decide(layers, k, n, context, features, hidden)
            for i in range(n):
                tsdf[b, asked[i], k], occupancy[b, asked[i], k] = heads[0, i, 0], heads[0, i, 1]


@kernel
def _read_block(
    values: npt.NDArray[np.uint16],
    table: Table,
    key: npt.NDArray[np.int64],
    log1p_third: Floats,
    volume: Floats,
    measured: npt.NDArray[np.bool_],
) -> None:
    """Writes the features of a block with its halo, and whether some frame measured a surface near a voxel.

    values: (n_blocks, 512, C) halves. volume: (12, 12, 12, F). measured: (12, 12, 12).
    """
    for x in range(_EDGE):
        for y in range(_EDGE):
            block = -1
            for z in range(_EDGE):
                i, j, k = x - HALO, y - HALO, z - HALO
                if z == 0 or k & 7 == 0:
                    block = find(table, pack(key[0] + (i >> 3), key[1] + (j >> 3), key[2] + (k >> 3)))
                features = volume[x, y, z]
                if block < 0:
                    measured[x, y, z] = False
                    features[:] = np.float32(0)
                    continue
                state = values[block, ((i & 7) << 6) | ((j & 7) << 3) | (k & 7)]
                measured[x, y, z] = to_float(state[WEIGHT]) > 0
                evidence_features(state, log1p_third, features)
                for latent in range(len(state) - N_EVIDENCE):
                    features[EVIDENCE_FEATURES + latent] = to_float(state[N_EVIDENCE + latent])


@kernel
def _ask(
    measured: npt.NDArray[np.bool_],
    volume: Floats,
    wanted: npt.NDArray[np.bool_],
    asked: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    features: Floats,
) -> int:
    """Lists the voxels that are asked about. Returns how many.

    asked: (512,) their numbers, steps: (512,) where they are, in floats from the first voxel of the volume, halo left
    out, and features: (512, F). So many are written, and the last step again until it fills the places.
    """
    n = 0
    for voxel in range(BLOCK_VOXELS):
        i, j, k = voxel >> 6, (voxel >> 3) & 7, voxel & 7
        if not (wanted[voxel] and _is_asked(measured, i + HALO, j + HALO, k + HALO)):
            continue
        asked[n], steps[n] = voxel, ((i * _EDGE + j) * _EDGE + k) * features.shape[1]
        for f in range(features.shape[1]):
            features[n, f] = volume[i + HALO, j + HALO, k + HALO, f]
        n += 1
    for place in range(PLACES - 1):
        steps[n + place] = steps[max(n - 1, 0)]
    return n


@kernel
def _is_asked(measured: npt.NDArray[np.bool_], x: int, y: int, z: int) -> bool:
    """asked_in_blocks for one voxel."""
    return (
        measured[x, y, z]
        or measured[x - 1, y, z]
        or measured[x + 1, y, z]
        or measured[x, y - 1, z]
        or measured[x, y + 1, z]
        or measured[x, y, z - 1]
        or measured[x, y, z + 1]
    )


@kernel
def _convolve(
    volume: Floats, steps: npt.NDArray[np.int64], n: int, convolutions: _Convolutions, context: Floats
) -> None:
    """Sums up the surroundings of n voxels to (groups, N, OUTPUTS).

    The weights of three neighbours along z serve all voxels before the next ones: all weights together are larger than
    the fastest cache.
    """
    features = volume.shape[-1]
    for group in range(len(context)):
        for i in range(n):
            for output in range(OUTPUTS):
                context[group, i, output] = convolutions.bias[group, output]
        for i in range(3):
            for j in range(3):
                # Neighbours along z lie side by side in memory; at twice the spacing there is one in between.
                near, far = convolutions.near[group, i, j].ctypes.data, convolutions.far[group, i, j].ctypes.data
                first, far_first = volume[1 + i, 1 + j, 1].ctypes.data, volume[2 * i, 2 * j, 0].ctypes.data
                for at in range(0, n, PLACES):
                    sums, places = context[group, at].ctypes.data, steps[at:].ctypes.data
                    add_products(sums, first, places, 1, 0, 3 * features, near)
                for at in range(0, n, PLACES):
                    sums, places = context[group, at].ctypes.data, steps[at:].ctypes.data
                    add_products(sums, far_first, places, 3, 2 * features, features, far)
