# SPDX-License-Identifier: Apache-2.0
"""Several processes that train the same networks on different data, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

from neuralfusion_ros.training.errors import TrainingError

_LOCAL_ADDRESSES = ("127.0.0.1", "localhost", "::1")


class ProcessGroup:
    """The processes of a run. rank: number of this one, from 0. A process on its own is a group of one."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | str = "cpu") -> None:
        """device: where tensors must lie to be exchanged."""
        self.rank, self.size, self._device = rank, size, device

    @property
    def is_first(self) -> bool:
        """This process writes the files and shows the progress."""
        return self.rank == 0

    def agree(self, minutes: float, stop: bool) -> tuple[float, bool]:
        """The first process's minutes, and whether any process wants to stop; the same answer everywhere."""
        if self.size == 1:
            return minutes, stop
        first, stops = self._sum(torch.tensor([minutes if self.is_first else 0.0, float(stop)], dtype=torch.float64))
        return float(first), bool(stops > 0)

    def gather(self, value: int) -> list[int]:
        """The value of every process, in the order of their ranks."""
        values = torch.zeros(self.size, dtype=torch.int64)
        values[self.rank] = value
        return [int(v) for v in self._sum(values)]

    def average_gradients(self, parameters: Sequence[torch.Tensor], loss: torch.Tensor | None) -> float | None:
        """Replaces every gradient by its mean over the processes that have a loss. Returns the mean loss, if any.

        loss: () of this process; None if it has nothing to judge, and so no gradients.
        """
        if self.size == 1:
            return None if loss is None else float(loss.detach())
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        judged = torch.zeros(2, device=own[0].device)
        if loss is not None:
            judged[0], judged[1] = loss.detach(), 1.0
        total = self._sum(torch.cat([judged, *(gradient.reshape(-1) for gradient in own)]))
        count = float(total[1])
        if count == 0:
            return None
        means = (total[2:] / count).to(own[0].device).split([p.numel() for p in parameters])
        for parameter, mean in zip(parameters, means, strict=True):
            parameter.grad = mean.view_as(parameter)
        return float(total[0]) / count

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes."""
        if self.size > 1:
            values = values.to(self._device)
            dist.all_reduce(values)
        return values


@contextmanager
def process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group that torchrun has started this process in, or a group of one. Raises TrainingError."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield ProcessGroup()
        return
    if os.environ.get("MASTER_ADDR") in _LOCAL_ADDRESSES:
        # On one machine nothing has to be reachable from others.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise TrainingError(
            f"the processes of this run cannot find each other: {str(error).splitlines()[0]}"
        ) from error
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
