# SPDX-License-Identifier: Apache-2.0
"""neuralfusion train; the training itself has its own tests."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from neuralfusion_ros import cli
from neuralfusion_ros.commands import train
from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model
from neuralfusion_ros.training.checkpoint import Checkpoint, write_checkpoint
from neuralfusion_ros.training.run import Hooks, Outcome, Place, StepReport
from neuralfusion_ros.training.settings import TrainingSettings
from neuralfusion_ros.training.trainer import Trainer

SMALL = Architecture(2, 4, 4)
Run = Callable[..., int]


class FakeTraining:
    """Takes three steps of 20 seconds each in no time, and remembers what it was asked for."""

    def __call__(
        self, settings: TrainingSettings, output: Path, place: Place, resume: Checkpoint | None, hooks: Hooks
    ) -> Outcome:
        self.settings, self.output, self.place, self.resume = settings, output, place, resume
        first = resume.step if resume else 0
        for step in range(first + 1, first + 4):
            if hooks.wants_stop():
                return Outcome(LatentModel(SMALL), step - 1, step / 3, False)
            self.on_step(step)
            hooks.on_step(StepReport(step, step / 3, 0.5 / step))
        return Outcome(LatentModel(SMALL), first + 3, first + 1.0, True)

    def on_step(self, step: int) -> None:
        """Nothing."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    training = FakeTraining()
    monkeypatch.setattr(train, "train", training)
    return training


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command with an output and without a GPU."""
    return lambda *words: cli.main(["train", "--device", "cpu", "--output", str(tmp_path / "mine"), *map(str, words)])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of step 10, at the place where --resume looks for it."""
    path = tmp_path / "mine.checkpoint.safetensors"
    settings = TrainingSettings(steps=13, seed=7, fusion_rate=1e-3, architecture=SMALL)
    write_checkpoint(path, Checkpoint(settings, 10, 1.5, [4], [], Trainer(settings).tensors()))
    return path


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.startswith("neuralfusion: error: ") and error.count("\n") == 1
    return error


def test_options_reach_the_trainer_and_its_steps_are_shown(
    fake: FakeTraining, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--steps", 3, "--seed", 7, "--workers", 5) == 0
    assert fake.settings == TrainingSettings(steps=3, seed=7)
    assert (fake.output, fake.resume) == (tmp_path / "mine", None)
    assert (fake.place.device, fake.place.workers, fake.place.group.size) == (torch.device("cpu"), 5, 1)
    output = capsys.readouterr()
    assert output.err.splitlines()[-1] == "training: 3 of 3, 0 s left loss 0.167"
    assert output.out == f"{tmp_path / 'mine'}.safetensors: 3 steps from seed 7, 1.0 minutes\n"


def test_a_time_without_steps_plans_for_the_time(
    fake: FakeTraining, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--minutes", 1) == 0
    assert fake.settings == TrainingSettings(steps=None, minutes=1.0)
    assert capsys.readouterr().err.splitlines()[-1] == "training, seconds: 60 of 60, 0 s left step 3, loss 0.167"
    assert run("--minutes", 1, "--steps", 8, "--output", tmp_path / "other") == 0
    assert fake.settings == TrainingSettings(steps=8, minutes=1.0)
    assert "5 steps are left, go on with --resume" in capsys.readouterr().out


def test_options_come_before_the_file(fake: FakeTraining, run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("steps: 5\nseed: 3\nqueries: 64\narchitecture: {fusion_width: 9}\n")
    assert run("--config", config, "--seed", 4) == 0
    assert fake.settings == TrainingSettings(steps=5, seed=4, queries=64, architecture=Architecture(fusion_width=9))
    config.write_text("minutes: 30\n")
    assert run("--config", config) == 0
    assert fake.settings == TrainingSettings(steps=None, minutes=30)


def test_resume_takes_the_settings_of_the_checkpoint(
    fake: FakeTraining, run: Run, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--resume") == 0
    assert fake.resume is not None and (fake.resume.step, fake.resume.streams) == (10, [4])
    assert fake.settings == fake.resume.settings
    assert capsys.readouterr().err.splitlines()[-1].startswith("training: 3 of 3, ")
    config = tmp_path / "config.yaml"
    config.write_text("translator_rate: 0.5\n")
    assert run("--resume", checkpoint, "--config", config, "--steps", 20, "--output", tmp_path / "other") == 0
    assert (fake.settings.steps, fake.settings.translator_rate, fake.settings.fusion_rate) == (20, 0.5, 1e-3)
    assert fake.settings.architecture == SMALL


def test_a_run_is_not_begun_anew_over_its_checkpoint(
    fake: FakeTraining, run: Run, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 2
    assert f"{checkpoint} exists: go on with --resume" in error_of(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "steps must be at least 1"),
        (["--minutes", "0"], "minutes must be more than 0"),
        (["--seed", "-1"], "seed must be in 0.."),
        (["--workers", "-1"], "--workers must be in 0..64"),
        (["--output", "/dev/null/mine"], "/dev/null"),
        (["--config", "missing.yaml"], "cannot read missing.yaml"),
        (["--resume"], "mine.checkpoint.safetensors"),
        (["--resume", "missing.safetensors"], "cannot read checkpoint missing.safetensors"),
    ],
)
def test_bad_options(run: Run, capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert run(*options) == 2
    assert message in error_of(capsys)


def test_bad_files(run: Run, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of another architecture, a model, of another shape, damaged, unknown keys: the real training refuses."""
    config = tmp_path / "config.yaml"
    config.write_text("architecture: {fusion_width: 5}\n")
    assert run("--resume", "--config", config, "--workers", 0) == 2
    assert "another architecture" in error_of(capsys)
    assert run("--resume", "--seed", 8, "--workers", 0) == 2
    assert "of seed 7, not 8" in error_of(capsys)
    config.write_text("fusion_widht: 5\n")
    assert run("--resume", "--config", config) == 2
    assert "unknown key 'fusion_widht'; known here: steps, minutes," in error_of(capsys)
    save_model(LatentModel(SMALL), tmp_path / "model.safetensors", {})
    assert run("--resume", tmp_path / "model.safetensors") == 2
    assert "is no checkpoint" in error_of(capsys)
    other = TrainingSettings(architecture=Architecture(2, 4, 5))
    write_checkpoint(checkpoint, Checkpoint(other, 10, 1.5, [4], [], Trainer(TrainingSettings()).tensors()))
    assert run("--resume", "--workers", 0) == 2
    assert "does not fit its architecture" in error_of(capsys)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    assert run("--resume") == 2
    assert "damaged" in error_of(capsys)


def test_a_gpu_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, fake: FakeTraining, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run("--device", "cuda") == 2
    assert "--device cuda: this machine has no GPU" in error_of(capsys)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert run("--device", "cuda") == 2
    assert "there are 1 GPUs" in error_of(capsys)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(
    monkeypatch: pytest.MonkeyPatch, fake: FakeTraining, run: Run, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(fake, "on_step", lambda step: os.kill(os.getpid(), number) if step == 2 else None)
    assert run("--steps", 3) == 130
    assert "2 steps from seed 0" in capsys.readouterr().out
    assert signal.getsignal(number) is before


def test_workers_by_default(monkeypatch: pytest.MonkeyPatch, fake: FakeTraining, run: Run) -> None:
    for cores, processes, expected in ((1, 1, 0), (2, 1, 1), (16, 1, 1), (2, 2, 0), (4, 2, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert run() == 0
        assert fake.place.workers == expected
