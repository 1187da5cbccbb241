# SPDX-License-Identifier: Apache-2.0
"""A few steps of training on a small recording: finite, repeatable, better than none."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neuralfusion_ros.mapping.model import Architecture
from neuralfusion_ros.training import stream_source
from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.process_group import ProcessGroup
from neuralfusion_ros.training.settings import SettingsError, TrainingSettings
from neuralfusion_ros.training.trainer import Trainer

TINY = TrainingSettings(
    steps=3, streams=2, frames_per_step=2, queries=256, warm_up_steps=1, architecture=Architecture(2, 8, 8)
)


@pytest.fixture(autouse=True)
def small_recordings(monkeypatch, wall_tour) -> None:
    monkeypatch.setattr(stream_source, "random_tour", lambda seed, data: wall_tour)


def losses(settings: TrainingSettings, count: int = 3) -> list[float]:
    trainer = Trainer(settings)
    return [trainer.train_step() for _ in range(count)]


def test_same_seed_gives_the_same_losses():
    first = losses(TINY)
    assert all(math.isfinite(loss) and -1 < loss < 5 for loss in first)
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


def test_the_result_is_the_mean_of_the_networks_that_learned():
    trainer = Trainer(TINY)
    passed: list[dict[str, torch.Tensor]] = []
    for _ in range(3):
        trainer.train_step()
        passed.append({name: weights.clone() for name, weights in trainer.model.state_dict().items()})
    for name, mean in trainer.average.state_dict().items():
        first, second, third = (weights[name] for weights in passed)
        expected = first + (second - first) * 10 / 11
        torch.testing.assert_close(mean, expected + (third - expected) * 10 / 12)


def test_what_happens_inside_voxels_can_be_learned_alone():
    """The answers at the centres of voxels stay what they were, bit for bit."""
    trainer = Trainer(replace(TINY, learn="translator.inside"))
    before = {name: weights.clone() for name, weights in trainer.model.state_dict().items()}
    near, far, centre = torch.rand(50, 27, 6), torch.rand(50, 27, 6), torch.zeros(50, 3)
    answers = trainer.model.translator(near, far, centre), trainer.model.translator(near, far, centre + 0.4)
    for _ in range(3):
        trainer.train_step()
    after = trainer.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("translator.inside")}
    assert torch.equal(trainer.model.translator(near, far, centre)[0], answers[0][0])
    assert not torch.equal(trainer.model.translator(near, far, centre + 0.4)[0], answers[1][0])


def test_training_can_start_from_a_file(tmp_path):
    own, path = Trainer(replace(TINY, seed=5)).model.state_dict(), str(tmp_path / "a.safetensors")
    save_file({name: weights for name, weights in own.items() if "inside" not in name}, path)
    started = Trainer(replace(TINY, start_from=path)).model.state_dict()
    fresh = Trainer(TINY).model.state_dict()
    for name, weights in started.items():
        assert torch.equal(weights, (fresh if "inside" in name else own)[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learn": "translater"}, "no weight's name begins with translater"),
        ({"start_from": "/no/such.safetensors"}, "start_from: cannot read /no/such.safetensors"),
        ({"architecture": Architecture(3, 8, 8), "start_from": "mine"}, "has another architecture: fusion"),
    ],
)
def test_a_start_that_is_not_possible_is_one_line(tmp_path, changes, message):
    path = str(tmp_path / "a.safetensors")
    save_file(Trainer(TINY).model.state_dict(), path)
    changes = {name: path if value == "mine" else value for name, value in changes.items()}
    with pytest.raises(SettingsError, match=message) as error:
        Trainer(replace(TINY, **changes))
    assert "\n" not in str(error.value)


def test_training_lowers_the_loss():
    """Against networks that stay as they are, on the same streams; the first stream ends on the way."""
    settings = replace(TINY, steps=16, streams=1, queries=1024, translator_rate=1e-2, fusion_rate=1e-2)
    trained = losses(settings, 11)
    constant = losses(replace(settings, translator_rate=0.0, fusion_rate=0.0), 11)
    assert trained[0] == constant[0]
    assert np.mean(trained[6:]) < 0.9 * np.mean(constant[6:])


def test_frames_without_measurements_do_not_spoil_the_networks(monkeypatch, wall_tour):
    """A sensor may lose a whole frame, also the first of a stream."""
    blind = replace(wall_tour, poses=wall_tour.poses @ np.diag([-1.0, 1, -1, 1]))  # turned away from the wall
    monkeypatch.setattr(stream_source, "random_tour", lambda seed, data: blind)
    trainer = Trainer(TINY)
    assert trainer.train_step() == 0.0
    assert trainer.step == 1
    assert all(torch.isfinite(weights).all() for weights in trainer.model.state_dict().values())


def test_a_loss_that_is_no_number_ends_the_run_before_it_reaches_the_weights():
    trainer = Trainer(TINY)
    with torch.no_grad():
        next(trainer.model.translator.parameters()).fill_(math.nan)
    before = {name: weights.clone() for name, weights in trainer.model.state_dict().items()}
    with pytest.raises(TrainingError, match="the loss is nan in step 1"):
        trainer.train_step()
    for name, weights in trainer.model.state_dict().items():
        assert torch.equal(weights, before[name]) or torch.isnan(before[name]).any()


def test_processes_draw_other_places_to_judge():
    trainers = [Trainer(TINY, group=group) for group in (ProcessGroup(), ProcessGroup(rank=1))]
    draws = []
    for trainer in trainers:
        trainer._reseed()
        draws.append(torch.rand(8, generator=trainer._generator))
        trainer.step += 1
        trainer._reseed()
        draws.append(torch.rand(8, generator=trainer._generator))
    assert len({float(draw[0]) for draw in draws}) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_losses_of_the_cpu():
    trainer = Trainer(TINY, device="cuda")
    found = [trainer.train_step() for _ in range(3)]
    assert found == pytest.approx(losses(TINY), rel=0.05)
    assert all(tensor.is_cuda for tensor in trainer.model.state_dict().values())
