# SPDX-License-Identifier: Apache-2.0
"""evidence_features of mapping/voxel_state.py for one voxel, inside kernels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.compiled.half import to_float
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, VARIANCE, WEIGHT

LOG1P_THIRD: Floats = (
    torch.from_numpy(np.arange(0x10000, dtype=np.uint16).view(np.float16).astype(np.float32)).log1p_().div_(3).numpy()
)
"""A third of log1p of every half, by its bits: weights and votes are stored in half precision."""


@kernel
def evidence_features(state: npt.NDArray[np.uint16], log1p_third: Floats, features: Floats) -> None:
    """Writes the six features of a voxel's state. log1p_third: LOG1P_THIRD, which a kernel cannot read by itself."""
    weight, mean, free = to_float(state[WEIGHT]), to_float(state[MEAN]), to_float(state[FREE])
    free_share = free / max(weight + free, np.float32(1e-2))
    variance = max(to_float(state[VARIANCE]), np.float32(0))
    features[0] = log1p_third[state[WEIGHT]]
    features[1] = mean
    features[2] = mean * (np.float32(1) - free_share) + free_share
    features[3] = log1p_third[state[FREE]]
    features[4] = np.sqrt(variance + np.float32(1e-6)) - np.float32(1e-3)
    features[5] = free_share
