# SPDX-License-Identifier: Apache-2.0
"""The steps of one frame again, compiled for a CPU with numba. Each file says which reference it is tested against."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes a second to import
    import torch


def can_compile(device: torch.device) -> bool:
    """Whether the steps can be compiled: on the CPU, where numba is installed."""
    return device.type == "cpu" and has_numba()


def has_numba() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def check_can_compile(device: torch.device) -> None:
    """Raises ValueError when the steps cannot be compiled."""
    if not can_compile(device):
        raise ValueError(f"compiled kernels need numba and run on the CPU, not on {device}")
