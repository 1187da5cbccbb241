# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what was written comes back, a half or wrong one never does."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model
from neuralfusion_ros.training.checkpoint import Checkpoint, CheckpointError, read_checkpoint, write_checkpoint
from neuralfusion_ros.training.learning_curve import CurveRow
from neuralfusion_ros.training.settings import DataSettings, TrainingSettings
from neuralfusion_ros.training.trainer import Trainer

SETTINGS = TrainingSettings(
    steps=9, fusion_rate=1e-3, architecture=Architecture(2, 4, 3), data=DataSettings(image_widths=(64, 128))
)


def checkpoint(settings: TrainingSettings = SETTINGS) -> Checkpoint:
    """Of a trainer whose optimiser has taken one step on made-up gradients."""
    trainer = Trainer(settings)
    for parameter in trainer.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer._optimiser.step()
    return Checkpoint(settings, 250, 12.5, [40, 38], [CurveRow(50, 1.25, 0.5)], trainer.tensors())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "mine.checkpoint.safetensors"
    write_checkpoint(path, checkpoint())
    return path


def assert_refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_round_trip(saved):
    written, read = checkpoint(), read_checkpoint(saved)
    assert replace(read, tensors={}) == replace(written, tensors={})
    assert read.tensors.keys() == written.tensors.keys()
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in written.tensors.items())
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_trainer_that_loads_it_goes_on_as_the_other(saved):
    trainer, again = Trainer(SETTINGS), Trainer(replace(SETTINGS, fusion_rate=2e-3))
    for loaded in (trainer, again):
        loaded.load(250, read_checkpoint(saved).tensors)
    assert trainer.step == 250
    assert trainer.tensors().keys() == checkpoint().tensors.keys()
    assert all(torch.equal(trainer.tensors()[name], tensor) for name, tensor in checkpoint().tensors.items())
    # Rates are settings, and may be other ones from here on.
    assert [trainer._optimiser.param_groups[0]["peak"], again._optimiser.param_groups[0]["peak"]] == [1e-3, 2e-3]


def test_size_of_a_released_model(tmp_path):
    path = tmp_path / "large.safetensors"
    rows = [CurveRow(50 * k, k / 7, 1 / (k + 1)) for k in range(4000)]
    write_checkpoint(path, replace(checkpoint(TrainingSettings()), curve=rows))
    assert path.stat().st_size < 1 << 20


@pytest.mark.parametrize("position", [3, 20, 700, -9])
def test_a_damaged_byte_is_noticed(saved, position):
    content = bytearray(saved.read_bytes())
    content[position] ^= 0x10
    saved.write_bytes(content)
    assert_refused(saved, "damaged|no checkpoint")


@pytest.mark.parametrize("length", [0, 5, 400, -1])
def test_half_a_file_is_noticed(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    assert_refused(saved, "damaged")


def test_other_files_are_refused(tmp_path):
    model = tmp_path / "model.safetensors"
    save_model(LatentModel(SETTINGS.architecture), model, {})
    assert_refused(model, "is no checkpoint")
    assert_refused(tmp_path / "missing.safetensors", "cannot read")
    assert_refused(tmp_path, "cannot read|damaged")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign, {"checkpoint": "{}", "sha256": "0"})
    assert_refused(foreign, "damaged")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99}, {"step": "soon"}, {"settings": {"colour": 3}}, {"settings": None}, {"curve": [[1]]},
        {"streams": 3}, {"minutes": None},
    ],
)  # fmt: skip
def test_content_of_another_kind_is_refused(saved, monkeypatch, change):
    dumps = json.dumps
    monkeypatch.setattr(json, "dumps", lambda facts: dumps({**facts, **change}))
    write_checkpoint(saved, checkpoint())
    assert_refused(saved, "format 99|cannot be understood")


def changed(tensors: dict[str, torch.Tensor], name: str, tensor: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {k: v for k, v in {**tensors, name: tensor}.items() if v is not None}


@pytest.mark.parametrize(
    "name",
    [
        "model.translator",
        "average.fusion",
        "optimiser.0.exp_avg",
        "optimiser.3.step",
        "optimiser.77.step",
        "optimiser.x",
    ],
)
def test_tensors_of_another_shape_are_refused(name):
    tensors = checkpoint().tensors
    full = next((key for key in tensors if key.startswith(name)), name)
    for tensor in (None, torch.zeros(2, 5)) if full in tensors else (torch.zeros(2),):
        with pytest.raises(ValueError):
            Trainer(SETTINGS).load(1, changed(tensors, full, tensor))


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_checkpoint(saved, monkeypatch, where):
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = saved.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[where], full)
        with pytest.raises(CheckpointError, match=r"at step 500: No space left on device; .* stays as it was"):
            write_checkpoint(saved, replace(checkpoint(), step=500))
    assert saved.read_bytes() == before
    assert read_checkpoint(saved).step == 250
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
