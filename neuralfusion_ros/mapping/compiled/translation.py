# SPDX-License-Identifier: Apache-2.0
"""Step 4, translate, on a CPU: both convolutions in one compiled pass, only for the voxels that are asked about.

The small layers behind them stay with torch.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid
from neuralfusion_ros.mapping.compiled.evidence import LOG1P_THIRD, evidence_features
from neuralfusion_ros.mapping.compiled.half import to_float
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.table import Table, find, pack, table_of
from neuralfusion_ros.mapping.compiled.vector_sums import OUTPUTS, PLACES, add_products
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.translate import HALO, Surroundings, TranslatorNetwork
from neuralfusion_ros.mapping.translation import Translation
from neuralfusion_ros.mapping.voxel_state import EVIDENCE_FEATURES, N_EVIDENCE, WEIGHT

_EDGE = BLOCK_SIZE + 2 * HALO


class CompiledTranslation(Translation):
    """The same results as Translation up to rounding, for a map in half precision. Without gradients.

    It keeps the weights that the network has when it is made.
    """

    def __init__(self, network: TranslatorNetwork, latent: BlockGrid, subdivision: int = 1) -> None:
        super().__init__(copy.deepcopy(network), latent, subdivision)
        self._convolutions = _laid_out(network)

    def surroundings(self, keys: torch.Tensor) -> Surroundings:
        features = self.latent.channels - N_EVIDENCE + EVIDENCE_FEATURES
        volume = np.empty((len(keys), _EDGE, _EDGE, _EDGE, features), np.float32)
        measured = np.empty(volume.shape[:-1], np.bool_)
        halves, table = self.latent.values.numpy().view(np.uint16), table_of(self.latent.index)
        _read_blocks(halves, table, keys.to(torch.int64).numpy(), LOG1P_THIRD, volume, measured)
        groups = len(self._convolutions.bias)
        context = np.empty((len(keys) * BLOCK_VOXELS, groups, OUTPUTS), np.float32)
        asked, centre = np.empty(len(context), np.int64), np.empty((len(context), features), np.float32)
        n = _convolve(volume, measured, self._convolutions, asked, context, centre)
        summed = torch.from_numpy(context[:n]).flatten(start_dim=1)[:, : self.network.width]
        return Surroundings(torch.from_numpy(asked[:n]), F.gelu(summed), torch.from_numpy(centre[:n]))


class _Convolutions(NamedTuple):
    """Weights of both convolutions, in groups of OUTPUTS outputs; the last group is filled up with zeros."""

    near: Floats  # (groups, 3, 3, 3 * F, OUTPUTS)
    far: Floats  # the same
    bias: Floats  # (groups, OUTPUTS)


def _laid_out(network: TranslatorNetwork) -> _Convolutions:
    missing = -network.width % OUTPUTS

    def grouped(outputs: torch.Tensor) -> torch.Tensor:
        """(width, ...) to (groups, ..., OUTPUTS)."""
        filled = torch.cat((outputs, outputs.new_zeros(missing, *outputs.shape[1:])))
        return filled.unflatten(0, (-1, OUTPUTS)).movedim(1, -1)

    def weights(convolution: torch.nn.Conv3d) -> Floats:
        by_place = convolution.weight.detach().movedim(1, -1)  # (width, 3, 3, 3, F)
        return grouped(by_place.flatten(start_dim=3)).contiguous().numpy()

    bias = network.near.bias.detach()  # type: ignore[union-attr]
    return _Convolutions(weights(network.near), weights(network.far), grouped(bias).contiguous().numpy())


@kernel
def _read_blocks(
    values: npt.NDArray[np.uint16],
    table: Table,
    keys: npt.NDArray[np.int64],
    log1p_third: Floats,
    volume: Floats,
    measured: npt.NDArray[np.bool_],
) -> None:
    """Writes the features of (B, 3) blocks with their halo, and whether some frame measured a surface near a voxel.

    values: (n_blocks, 512, C) halves. volume: (B, 12, 12, 12, F). measured: (B, 12, 12, 12).
    """
    for b in range(len(keys)):
        for x in range(_EDGE):
            for y in range(_EDGE):
                block = -1
                for z in range(_EDGE):
                    i, j, k = x - HALO, y - HALO, z - HALO
                    if z == 0 or k & 7 == 0:
                        block = find(table, pack(keys[b, 0] + (i >> 3), keys[b, 1] + (j >> 3), keys[b, 2] + (k >> 3)))
                    features = volume[b, x, y, z]
                    if block < 0:
                        measured[b, x, y, z] = False
                        features[:] = np.float32(0)
                        continue
                    state = values[block, ((i & 7) << 6) | ((j & 7) << 3) | (k & 7)]
                    measured[b, x, y, z] = to_float(state[WEIGHT]) > 0
                    evidence_features(state, log1p_third, features)
                    for latent in range(len(state) - N_EVIDENCE):
                        features[EVIDENCE_FEATURES + latent] = to_float(state[N_EVIDENCE + latent])


@kernel
def _convolve(
    volume: Floats,
    measured: npt.NDArray[np.bool_],
    convolutions: _Convolutions,
    asked: npt.NDArray[np.int64],
    context: Floats,
    centre: Floats,
) -> int:
    """Sums up the surroundings of the voxels that are asked about, in pairs along z. Returns how many they are.

    asked: (B * 512,), context: (B * 512, groups, OUTPUTS) and centre: (B * 512, F), of which that many are written.
    """
    sums = np.empty((PLACES, OUTPUTS), np.float32)
    n = 0
    for b in range(len(volume)):
        for voxel in range(0, BLOCK_VOXELS, PLACES):
            x, y, z = HALO + (voxel >> 6), HALO + ((voxel >> 3) & 7), HALO + (voxel & 7)
            first, second = _is_asked(measured[b], x, y, z), _is_asked(measured[b], x, y, z + 1)
            if not (first or second):
                continue
            # Of two places for one, the second writes over the first, or is written over by the next voxel.
            for group in range(len(convolutions.bias)):
                _sum_up(volume[b], x, y, z, convolutions, group, sums)
                context[n, group] = sums[0]
                context[n + first, group] = sums[1]
            asked[n], centre[n] = b * BLOCK_VOXELS + voxel, volume[b, x, y, z]
            asked[n + first], centre[n + first] = b * BLOCK_VOXELS + voxel + 1, volume[b, x, y, z + 1]
            n += first + second
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
def _sum_up(volume: Floats, x: int, y: int, z: int, convolutions: _Convolutions, group: int, sums: Floats) -> None:
    """One group of outputs of both convolutions at a voxel and the next along z."""
    features = volume.shape[-1]
    for place in range(PLACES):
        sums[place] = convolutions.bias[group]
    at = sums.ctypes.data
    for i in range(3):
        for j in range(3):
            # Three voxels in a row along z lie side by side in memory; at twice the spacing there is one in between.
            near, far = volume[x + i - 1, y + j - 1, z - 1 :], volume[x + 2 * i - 2, y + 2 * j - 2, z - 2 :]
            weights_near, weights_far = convolutions.near[group, i, j], convolutions.far[group, i, j]
            add_products(at, near.ctypes.data, features, 1, 0, 3 * features, weights_near.ctypes.data)
            add_products(at, far.ctypes.data, features, 3, 2 * features, features, weights_far.ctypes.data)
