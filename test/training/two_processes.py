# SPDX-License-Identifier: Apache-2.0
"""What torchrun starts in test_process_group.py: a short run; each process writes down what it saw.

argv: output folder, configuration file. Writes rank_0 and rank_1 .safetensors with the weights at the end and with
the gradients of the first step before and after they were averaged.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from neuralfusion_ros import cli
from neuralfusion_ros.commands import train as command
from neuralfusion_ros.training import run
from neuralfusion_ros.training.process_group import ProcessGroup

seen: dict[str, torch.Tensor] = {}
group_average = ProcessGroup.average_gradients


def average_gradients(
    self: ProcessGroup, parameters: Sequence[torch.Tensor], loss: torch.Tensor | None
) -> float | None:
    own = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    mean = group_average(self, parameters, loss)
    if "loss.own" not in seen:
        assert loss is not None and mean is not None
        seen["loss.own"], seen["loss.mean"] = loss.detach().clone(), torch.tensor(mean)
        for number, (before, parameter) in enumerate(zip(own, parameters, strict=True)):
            assert parameter.grad is not None
            seen[f"own.{number}"], seen[f"mean.{number}"] = before, parameter.grad.clone()
    return mean


def train(*args: object) -> run.Outcome:
    outcome = run.train(*args)  # type: ignore[arg-type]
    seen.update({f"average.{name}": tensor.clone() for name, tensor in outcome.model.state_dict().items()})
    place = args[2]
    assert isinstance(place, run.Place)
    seen["size"] = torch.tensor(place.group.size)
    save_file(seen, Path(sys.argv[1]) / f"rank_{place.group.rank}.safetensors")
    return outcome


if __name__ == "__main__":
    ProcessGroup.average_gradients = average_gradients  # type: ignore[method-assign]
    command.train = train  # type: ignore[attr-defined, assignment]
    folder, config = sys.argv[1:]
    words = ["--config", config, "--output", f"{folder}/mine", "--device", "cpu", "--workers", "0"]
    sys.exit(cli.main(["train", *words]))
