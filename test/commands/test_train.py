# SPDX-License-Identifier: Apache-2.0
"""neuralfusion train; the training itself has its own tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from neuralfusion_ros import cli
from neuralfusion_ros.commands import train
from neuralfusion_ros.training.trainer import TrainingSettings


def test_options_reach_the_trainer_and_its_steps_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(settings: TrainingSettings, output: Path, on_step: Callable[[int, float], None]) -> None:
        assert (settings.steps, settings.seed, output) == (3, 7, tmp_path / "runs" / "mine")
        for step in range(3):
            on_step(step + 1, 0.5 / (step + 1))

    monkeypatch.setattr(train, "train", fake)
    assert cli.main(["train", "--steps", "3", "--seed", "7", "--output", str(tmp_path / "runs" / "mine")]) == 0
    output = capsys.readouterr()
    assert output.err.splitlines()[-1] == "training: 3 of 3, 0 s left loss 0.167"
    assert output.out == f"{tmp_path / 'runs' / 'mine'}.safetensors: 3 steps from seed 7\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "--steps must be at least 1"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--output", "/dev/null/mine"], "/dev/null"),
    ],
)
def test_bad_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert cli.main(["train", "--output", str(tmp_path / "mine"), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("neuralfusion: error: ") and message in error and error.count("\n") == 1
