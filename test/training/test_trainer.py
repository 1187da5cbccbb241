# SPDX-License-Identifier: Apache-2.0
"""A few steps of training on a small recording: finite, repeatable, saved."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.model import Architecture, load_model
from neuralfusion_ros.training import sequences
from neuralfusion_ros.training.sequences import CleanSequence
from neuralfusion_ros.training.trainer import Trainer, TrainingSettings, train

TINY = TrainingSettings(
    steps=3, streams=2, frames_per_step=2, queries=256, warm_up_steps=1, architecture=Architecture(2, 8, 8)
)


@pytest.fixture(autouse=True)
def small_recordings(monkeypatch, wall_sequence) -> None:
    monkeypatch.setattr(sequences, "render_sequence", lambda seed: wall_sequence)


def losses(settings: TrainingSettings, count: int = 3) -> list[float]:
    trainer = Trainer(settings)
    return [trainer.train_step() for _ in range(count)]


def test_same_seed_gives_the_same_losses():
    first = losses(TINY)
    assert all(math.isfinite(loss) and 0 < loss < 5 for loss in first)
    assert losses(TINY) == first
    assert losses(replace(TINY, seed=1), 1) != first[:1]


def test_a_step_improves_both_networks():
    trainer = Trainer(TINY)
    before = {name: weights.clone() for name, weights in trainer.model.state_dict().items()}
    for _ in range(3):
        trainer.train_step()
    after = trainer.model.state_dict()
    assert trainer.step == 3
    assert all(torch.isfinite(weights).all() for weights in after.values())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(before)


def test_training_lowers_the_loss():
    """Against networks that stay as they are, on the same streams; the first stream ends on the way."""
    settings = replace(TINY, steps=16, streams=1, queries=1024, translator_rate=1e-2, fusion_rate=1e-2)
    trained = losses(settings, 11)
    constant = losses(replace(settings, translator_rate=0.0, fusion_rate=0.0), 11)
    assert trained[0] == constant[0]
    assert np.mean(trained[6:]) < 0.9 * np.mean(constant[6:])


def test_frames_without_measurements_do_not_spoil_the_networks(monkeypatch, wall_sequence):
    """A sensor may lose a whole frame, also the first of a stream."""
    blind: CleanSequence = replace(wall_sequence, depth_m=np.zeros_like(wall_sequence.depth_m))
    monkeypatch.setattr(sequences, "render_sequence", lambda seed: blind)
    trainer = Trainer(TINY)
    trainer.train_step()
    assert all(torch.isfinite(weights).all() for weights in trainer.model.state_dict().values())


def test_train_writes_weights_card_and_curve(tmp_path):
    calls: list[tuple[int, float]] = []
    output = tmp_path / "new folder" / "tiny"
    model = train(TINY, output, on_step=lambda step, loss: calls.append((step, loss)))
    assert calls == list(enumerate(losses(TINY), start=1))
    loaded = load_model(str(output.with_suffix(".safetensors")))
    assert loaded.architecture == TINY.architecture
    for name, weights in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weights), name
    card = json.loads(output.with_suffix(".json").read_text())
    assert (card["steps"], card["seed"], card["licence"]) == (3, 0, "Apache-2.0")
    assert card["parameters"] == sum(weights.numel() for weights in model.parameters())
    with output.with_suffix(".csv").open() as log:
        assert next(csv.reader(log)) == ["step", "minutes", "loss"]
    assert sorted(file.suffix for file in output.parent.iterdir()) == [".csv", ".json", ".safetensors"]
