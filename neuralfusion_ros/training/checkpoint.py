# SPDX-License-Identifier: Apache-2.0
"""All that a run needs to go on, in one file: tensors as safetensors, the rest as JSON in the file's header.

One file, because a run may be killed at any moment: two files could be of two different steps. A random state is not
in it: what is random follows from the seed, the number of the step and the number of the stream.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.learning_curve import CurveRow
from neuralfusion_ros.training.settings import TrainingSettings
from neuralfusion_ros.training.settings_file import with_values

_FORMAT = 2


class CheckpointError(TrainingError):
    """A checkpoint cannot be written or used. The message is one line that says which file and why."""


@dataclass(frozen=True)
class Checkpoint:
    """step: optimiser steps taken. minutes: wall time of all parts of the run. streams: handed out so far, for each
    process. tensors: of networks and optimiser, by name.
    """

    settings: TrainingSettings
    step: int
    minutes: float
    streams: list[int]
    curve: list[CurveRow]
    tensors: dict[str, torch.Tensor]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the file aside and renames it: whatever happens, a whole checkpoint is there. Raises CheckpointError."""
    facts = {name: getattr(checkpoint, name) for name in ("step", "minutes", "streams")}
    facts |= {"settings": asdict(checkpoint.settings), "curve": [list(vars(row).values()) for row in checkpoint.curve]}
    text = json.dumps({"format": _FORMAT, **facts})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    content = save(tensors, {"checkpoint": text, "sha256": _digest(text, tensors)})
    try:
        with new_file(path) as aside, aside.open("wb") as file:
            file.write(content)
            # The rename must not reach the disk before the content does.
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        kept = f"; {path.name} stays as it was" if path.exists() else ""
        raise CheckpointError(f"cannot write {path} at step {checkpoint.step}: {error.strerror}{kept}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and verifies a checkpoint. Raises CheckpointError."""
    text, sha256, tensors = _read(path)
    if sha256 != _digest(text, tensors):
        raise CheckpointError(f"checkpoint {path} is damaged: its content does not have the sha256 that it names")
    try:
        facts: dict[str, Any] = json.loads(text)
        if facts["format"] != _FORMAT:
            raise CheckpointError(f"checkpoint {path} is of format {facts['format']}, this program reads {_FORMAT}")
        settings = with_values(TrainingSettings(), facts["settings"])
        curve = [CurveRow(int(step), float(minutes), float(loss)) for step, minutes, loss in facts["curve"]]
        streams = [int(count) for count in facts["streams"]]
        return Checkpoint(settings, int(facts["step"]), float(facts["minutes"]), streams, curve, tensors)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be understood: {error!r}") from error


def _read(path: Path) -> tuple[str, str, dict[str, torch.Tensor]]:
    """The JSON text, the sha256 that the file names, and the tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, it is no dict
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint {path} is damaged or no checkpoint: {str(error).splitlines()[0]}") from error
    if "checkpoint" not in header:
        raise CheckpointError(f"{path} is no checkpoint; a finished model alone cannot be trained on")
    return header["checkpoint"], header.get("sha256", ""), tensors


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    """Of everything in the file, and independent of how safetensors lays it out."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
