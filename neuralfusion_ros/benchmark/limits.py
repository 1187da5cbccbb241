# SPDX-License-Identifier: Apache-2.0
"""What the machine can do at best, and how much of it a frame needs at least."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from neuralfusion_ros.benchmark.fusing import LearnedContestant
from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS
from neuralfusion_ros.mapping.fuse import FusionNetwork

_COPY_BYTES = 1 << 28
_MATRIX = 2048
_TRIES = 5


@dataclass(frozen=True)
class Limits:
    """copy_bytes_per_s: of a large copy, reading and writing counted. flops: of a large float32 matrix product."""

    copy_bytes_per_s: float
    flops: float


def measure_limits(device: torch.device) -> Limits:
    """With as many threads as the mapper has; the best of some tries."""
    source = torch.zeros(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    a = torch.rand((_MATRIX, _MATRIX), device=device)
    copy_s = min(_seconds(lambda: target.copy_(source), device) for _ in range(_TRIES))
    product_s = min(_seconds(lambda: torch.mm(a, a), device) for _ in range(_TRIES))
    return Limits(2 * _COPY_BYTES / copy_s, 2 * _MATRIX**3 / product_s)


def macs_per_ray(network: FusionNetwork) -> int:
    """Multiplications of the fusion network per ray: every weight of its layers is used once."""
    return sum(weight.numel() for name, weight in network.named_parameters() if name.endswith("weight"))


def least_ms(mapper: LearnedContestant, pixels: int, macs: int, limits: Limits) -> float:
    """Milliseconds that the last frame takes at least: its bytes at the copy's rate, its products at the matrix' rate.

    Bytes: the depth image once, and the blocks that the frame touched once read and once written.
    """
    block_bytes = BLOCK_VOXELS * mapper.grid.channels * mapper.grid.values.element_size()
    moved = 4 * pixels + 2 * block_bytes * len(mapper.touched)
    return 1000 * (moved / limits.copy_bytes_per_s + 2 * macs * mapper.rays / limits.flops)


def _seconds(job: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin_s = time.perf_counter()
    job()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin_s
