# SPDX-License-Identifier: Apache-2.0
"""Linear layers inside kernels, for as many rows of numbers at once as vector_sums serves.

Numbers per row come in groups of OUTPUTS; the last group is filled up with zeros.
"""

from __future__ import annotations

from math import exp

import numpy as np
import torch

from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.vector_sums import OUTPUTS, PLACES, add_products
from neuralfusion_ros.mapping.compiled.world_rays import Floats


def grouped(outputs: torch.Tensor) -> torch.Tensor:
    """(width, ...) to (groups, ..., OUTPUTS)."""
    filled = torch.cat((outputs, outputs.new_zeros(-len(outputs) % OUTPUTS, *outputs.shape[1:])))
    return filled.unflatten(0, (-1, OUTPUTS)).movedim(1, -1).contiguous()


def inputs_filled(weight: torch.Tensor, width: int) -> torch.Tensor:
    """(..., width + F) weights of hidden values and F others to (..., W + F), W a multiple of OUTPUTS."""
    hidden, others = weight[..., :width], weight[..., width:]
    return torch.cat((hidden, weight.new_zeros(*weight.shape[:-1], -width % OUTPUTS), others), dim=-1)


@kernel
def begin(sums: Floats, n: int, bias: Floats) -> None:
    """(OUTPUTS,) bias to the first n rows of (N, OUTPUTS) sums."""
    for i in range(n):
        for j in range(OUTPUTS):
            sums[i, j] = bias[j]


@kernel
def add_hidden(sums: Floats, n: int, groups: Floats, weights: Floats) -> None:
    """Adds the first n rows of (groups, N, OUTPUTS) hidden values times (groups * OUTPUTS, OUTPUTS) weights."""
    for group in range(len(groups)):
        add_rows(sums, n, groups[group], weights[group * OUTPUTS : (group + 1) * OUTPUTS])


@kernel
def add_rows(sums: Floats, n: int, rows: Floats, weights: Floats) -> None:
    """sums[i] += rows[i] @ weights for i < n. sums: (N, OUTPUTS) with N at least n + PLACES - 1; the rest is spoilt."""
    length = rows.shape[1]
    steps = np.empty(PLACES, np.int64)
    for i in range(0, n, PLACES):
        if i == 0 or i + PLACES > n:  # the last row again until it fills the places
            for place in range(PLACES):
                steps[place] = length * min(place, n - 1 - i)
        at, inputs = sums[i:].ctypes.data, rows[i:].ctypes.data
        add_products(at, inputs, steps.ctypes.data, 1, 0, length, weights.ctypes.data)


@kernel
def sigmoid(x: np.float32) -> np.float32:
    """Between 0 and 1."""
    return np.float32(1) / (np.float32(1) + np.float32(exp(-x)))
