# SPDX-License-Identifier: Apache-2.0
"""Whole runs on a small recording: files, interruption and going on."""

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.model import Architecture, load_model
from neuralfusion_ros.training import run, stream_source
from neuralfusion_ros.training.checkpoint import CheckpointError, read_checkpoint
from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.run import Hooks, OutputFiles, StepReport, train
from neuralfusion_ros.training.sequences import Tour
from neuralfusion_ros.training.settings import TrainingSettings

TINY = TrainingSettings(
    steps=8, streams=2, frames_per_step=3, queries=128, warm_up_steps=1, checkpoint_steps=3,
    architecture=Architecture(2, 4, 4),
)  # fmt: skip
Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True, scope="module")
def small_recordings(wall_tour: Tour) -> Iterator[None]:
    """The middle of the wall alone, so that a step takes no time."""
    middle = replace(wall_tour, camera=PinholeCamera(24, 20, 60.0, 60.0, 11.5, 9.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_source, "random_tour", lambda seed, data: middle)
        yield


class Killed(BaseException):
    """As when the process is killed: nothing may be tidied up after it."""


def kill_after(step: int) -> Hooks:
    def on_step(report: StepReport) -> None:
        if report.step == step:
            raise Killed

    return Hooks(on_step)


def stop_after(step: int) -> Hooks:
    reports: list[StepReport] = []
    return Hooks(reports.append, lambda: len(reports) == step)


def weights_of(output: Path) -> Weights:
    return load_model(str(OutputFiles(output).weights)).state_dict()


def assert_equal(a: Weights, b: Weights) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "whole"
    train(TINY, output)
    return output


@pytest.fixture
def whole(finished: Path, tmp_path: Path) -> Path:
    """The output of a run from its first step to its last."""
    shutil.copytree(finished.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "whole"


def test_files_of_a_run(tmp_path):
    reports: list[StepReport] = []
    output = tmp_path / "new folder" / "tiny.v2"
    outcome = train(TINY, output, hooks=Hooks(reports.append))
    assert [report.step for report in reports] == list(range(1, 9))
    assert (outcome.step, outcome.finished) == (8, True)
    assert_equal(outcome.model.state_dict(), weights_of(output))
    card = json.loads((output.parent / "tiny.v2.json").read_text())
    assert (card["steps"], card["seed"], card["licence"], card["settings"]["queries"]) == (8, 0, "Apache-2.0", 128)
    assert 0 < card["multiplications_per_ray"] < card["parameters"]
    assert 0 < card["multiplications_per_voxel"] < card["parameters"]
    assert card["parameters"] == sum(weights.numel() for weights in outcome.model.parameters())
    with (output.parent / "tiny.v2.csv").open() as log:
        rows = list(csv.DictReader(log))
    assert [int(row["step"]) for row in rows] == [3, 6, 8]
    for first, row in zip((0, 3, 6), rows, strict=True):
        loss = [report.loss for report in reports[first : int(row["step"])]]
        assert float(row["loss"]) == pytest.approx(sum(loss) / len(loss), abs=1e-5)
    suffixes = (".checkpoint.safetensors", ".csv", ".json", ".png", ".safetensors")
    assert sorted(file.name for file in output.parent.iterdir()) == [f"tiny.v2{suffix}" for suffix in suffixes]


def test_two_runs_from_one_seed_are_equal(whole, tmp_path):
    train(TINY, tmp_path / "again")
    assert_equal(weights_of(tmp_path / "again"), weights_of(whole))
    train(replace(TINY, seed=1), tmp_path / "other", hooks=stop_after(1))
    other = weights_of(tmp_path / "other")
    assert any(not torch.equal(tensor, other[name]) for name, tensor in weights_of(whole).items())


def test_a_run_that_is_killed_goes_on_as_if_nothing_had_happened(whole, tmp_path):
    output = tmp_path / "killed"
    files = OutputFiles(output)
    with pytest.raises(Killed):
        train(TINY, output, hooks=kill_after(5))
    kept = read_checkpoint(files.checkpoint)
    assert kept.step == 3
    with pytest.raises(Killed):
        train(TINY, output, resume=kept, hooks=kill_after(6))
    kept = read_checkpoint(files.checkpoint)
    assert kept.step == 6
    reports: list[StepReport] = []
    outcome = train(kept.settings, output, resume=kept, hooks=Hooks(reports.append))
    assert [report.step for report in reports] == [7, 8]
    assert outcome.minutes >= kept.minutes > 0
    assert_equal(weights_of(output), weights_of(whole))
    ours, theirs = (read_checkpoint(OutputFiles(path).checkpoint) for path in (output, whole))
    assert_equal(ours.tensors, theirs.tensors)
    assert ours.streams == theirs.streams
    assert [(row.step, row.loss) for row in ours.curve] == [(row.step, row.loss) for row in theirs.curve]


def test_a_run_that_is_stopped_equals_one_with_a_checkpoint_there(tmp_path):
    """Its maps begin anew at the step where it stopped."""
    outcome = train(TINY, tmp_path / "stopped", hooks=stop_after(2))
    assert (outcome.step, outcome.finished) == (2, False)
    resume = read_checkpoint(OutputFiles(tmp_path / "stopped").checkpoint)
    assert resume.step == 2
    train(TINY, tmp_path / "stopped", resume=resume, hooks=stop_after(2))
    train(replace(TINY, checkpoint_steps=2), tmp_path / "planned", hooks=stop_after(4))
    assert_equal(weights_of(tmp_path / "stopped"), weights_of(tmp_path / "planned"))


def test_a_finished_run_may_be_made_longer_but_does_not_go_on_by_itself(whole):
    resume = read_checkpoint(OutputFiles(whole).checkpoint)
    files = OutputFiles(whole)
    files.weights.unlink()  # as when it was killed between checkpoint and weights
    reports: list[StepReport] = []
    assert train(TINY, whole, resume=resume, hooks=Hooks(reports.append)).finished
    assert not reports
    assert_equal(weights_of(whole), {k[8:]: v for k, v in resume.tensors.items() if k.startswith("average.")})
    train(replace(TINY, steps=10), whole, resume=resume, hooks=Hooks(reports.append))
    assert [report.step for report in reports] == [9, 10]


def test_minutes_end_a_run_and_are_counted_over_all_its_parts(tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: next(clock) * 60.0)  # a minute passes at each look
    settings = replace(TINY, steps=None, minutes=4.0)
    outcome = train(settings, tmp_path / "timed")
    assert (outcome.step, outcome.finished) == (3, True)
    resume = read_checkpoint(OutputFiles(tmp_path / "timed").checkpoint)
    assert resume.minutes == 4.0
    assert train(replace(settings, minutes=7.0), tmp_path / "timed", resume=resume).step == 5


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    output = tmp_path / "full"
    train(TINY, output, hooks=stop_after(2))
    resume = read_checkpoint(OutputFiles(output).checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"at step 3: No space left on device; full.* stays as it was"):
            train(TINY, output, resume=resume)
    assert read_checkpoint(OutputFiles(output).checkpoint).step == 2
    monkeypatch.setattr(run, "save_model", full)
    with pytest.raises(TrainingError, match=r"cannot write all of .*full\.\* at step 3: No space left on device"):
        train(TINY, output, resume=resume)
    assert read_checkpoint(OutputFiles(output).checkpoint).step == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(TINY, architecture=Architecture(2, 4, 5)), "of another architecture: .*'translator_width': 4}, not"),
        (replace(TINY, seed=4), "of seed 0, not 4"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(whole, settings, message):
    resume = read_checkpoint(OutputFiles(whole).checkpoint)
    with pytest.raises(CheckpointError, match=message):
        train(settings, whole, resume=resume)


def test_a_checkpoint_whose_tensors_do_not_fit_is_refused(whole):
    resume = read_checkpoint(OutputFiles(whole).checkpoint)
    del resume.tensors[next(iter(resume.tensors))]
    with pytest.raises(CheckpointError, match="does not fit its architecture"):
        train(TINY, whole, resume=resume)
