# SPDX-License-Identifier: Apache-2.0
"""States of whole blocks, as they come in messages, four halves at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.compiled.jit import kernel

# Of four halves side by side: the exponent, the lowest bit of the exponent, and the sign.
_EXPONENTS, _LOWEST_BITS, _SIGNS = (np.uint64(bits * 0x1000100010001) for bits in (0x7C00, 0x0400, 0x8000))


def write_blocks(values: torch.Tensor, rows: torch.Tensor, states: npt.NDArray[np.float16]) -> None:
    """values[rows] = states for (n, 512, C) values and (N, 512, C) states, but for negative rows.

    The states may lie anywhere, block by block.
    """
    _write_rows(_in_fours(values.numpy()), rows.numpy(), _in_fours(states))


def all_finite(states: npt.NDArray[np.float16]) -> bool:
    """Whether no number of (N, 512, C) states is infinite or NaN."""
    return _all_finite(_in_fours(states))


def _in_fours(states: npt.NDArray[np.float16]) -> npt.NDArray[np.uint64]:
    """(N, 512, C) halves to (N, 128 C), four at a time."""
    return states.reshape(len(states), states.shape[1] * states.shape[2]).view(np.uint64)


@kernel
def _write_rows(values: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64], numbers: npt.NDArray[np.uint64]) -> None:
    for i in range(len(rows)):
        if rows[i] >= 0:
            for k in range(values.shape[1]):
                values[rows[i], k] = numbers[i, k]


@kernel
def _all_finite(numbers: npt.NDArray[np.uint64]) -> bool:
    """A half is infinite or NaN when all five bits of its exponent are set: then one more carries into the sign."""
    carried = np.uint64(0)
    for i in range(len(numbers)):
        for k in range(numbers.shape[1]):
            carried |= (numbers[i, k] & _EXPONENTS) + _LOWEST_BITS
    return carried & _SIGNS == 0
