# SPDX-License-Identifier: Apache-2.0
"""A training run from its first step, or from a checkpoint, to its last, and the files that it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from neuralfusion_ros.mapping.model import LatentModel, multiplications, save_model
from neuralfusion_ros.training.checkpoint import Checkpoint, CheckpointError, write_checkpoint
from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.learning_curve import LearningCurve
from neuralfusion_ros.training.process_group import ProcessGroup
from neuralfusion_ros.training.schedule import is_over
from neuralfusion_ros.training.settings import TrainingSettings
from neuralfusion_ros.training.stream_source import DataShare, StreamSource
from neuralfusion_ros.training.trainer import Trainer
from neuralfusion_ros.training.workers import open_source

_TRAINING_DATA = "procedural rooms; simulated structured light, active and multi-view stereo; no recordings"
ROW_STEPS = 50
"""Steps from one row of the learning curve to the next."""


class OutputFiles:
    """The names of the files of a run. output: their common path without suffixes."""

    def __init__(self, output: Path) -> None:
        self.weights = _named(output, ".safetensors")
        self.checkpoint = _named(output, ".checkpoint.safetensors")
        self.table = _named(output, ".csv")
        self.picture = _named(output, ".png")


@dataclass(frozen=True)
class StepReport:
    """A step that has been taken. minutes: of the run so far."""

    step: int
    minutes: float
    loss: float


@dataclass(frozen=True)
class Hooks:
    """on_step: called after every step. wants_stop: asked before every step whether to end here."""

    on_step: Callable[[StepReport], None] = lambda report: None
    wants_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Place:
    """Where a run takes place; nothing of it changes the result on a CPU. workers: processes that make the data."""

    device: torch.device | str = "cpu"
    workers: int = 0
    group: ProcessGroup = field(default_factory=ProcessGroup)


@dataclass(frozen=True)
class Outcome:
    """What a run, or a part of it, has come to. finished: it was not asked to stop before its end."""

    model: LatentModel
    step: int
    minutes: float
    finished: bool


class Run:
    """A run in progress. resume: the checkpoint to go on from. Raises CheckpointError when it does not fit."""

    def __init__(
        self, settings: TrainingSettings, output: Path, place: Place, source: StreamSource, resume: Checkpoint | None
    ) -> None:
        self.settings, self.files = settings, OutputFiles(output)
        self._group, self._source = place.group, source
        self.trainer = Trainer(settings, source, place.device, place.group)
        self._curve = LearningCurve(resume.curve if resume else None)
        self._minutes_before = resume.minutes if resume else 0.0
        if resume is not None:
            _load(self.trainer, resume)

    def train(self, hooks: Hooks) -> Outcome:
        """Train to the end, or until a hook or the time says stop."""
        start = time.monotonic() - 60 * self._minutes_before
        while True:
            minutes, stop = self._group.agree((time.monotonic() - start) / 60, hooks.wants_stop())
            over = is_over(self.settings, self.trainer.step, minutes)
            if stop or over:
                break
            self._step(minutes, hooks)
        self._save(minutes)
        return Outcome(self.trainer.average, self.trainer.step, minutes, over)

    def _step(self, minutes: float, hooks: Hooks) -> None:
        loss = self.trainer.train_step(minutes)
        step = self.trainer.step
        self._curve.add(loss)
        if step % self.settings.checkpoint_steps == 0:
            self._save(minutes)
        elif step % ROW_STEPS == 0:
            self._curve.end_row(step, minutes)
            if self._group.is_first:
                with self._writing():
                    self._curve.write_table(self.files.table)
        hooks.on_step(StepReport(step, minutes, loss))

    def _save(self, minutes: float) -> None:
        """Write all files. The maps begin anew here, as they do in a run that goes on from the checkpoint."""
        trainer = self.trainer
        trainer.restart_maps()
        self._curve.end_row(trainer.step, minutes)
        streams = self._group.gather(self._source.handed_out)
        if not self._group.is_first:
            return
        checkpoint = Checkpoint(self.settings, trainer.step, minutes, streams, self._curve.rows, trainer.tensors())
        write_checkpoint(self.files.checkpoint, checkpoint)
        with self._writing():
            save_model(trainer.average, self.files.weights, self._card(minutes))
            self._curve.write_table(self.files.table)
            self._curve.draw(self.files.picture)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Says which run it is whose files cannot be written; the system's own words may lack that."""
        try:
            yield
        except OSError as error:
            step, files = self.trainer.step, self.files.weights.with_suffix(".*")
            raise TrainingError(f"cannot write all of {files} at step {step}: {error.strerror or error}") from error

    def _card(self, minutes: float) -> dict[str, object]:
        settings = self.settings
        return {
            "licence": "Apache-2.0",
            "training_data": _TRAINING_DATA,
            "steps": self.trainer.step,
            "steps_planned": settings.steps,
            "seed": settings.seed,
            "minutes": round(minutes, 1),
            "processes": self._group.size,
            "parameters": sum(p.numel() for p in self.trainer.model.parameters()),
            "multiplications_per_ray": multiplications(self.trainer.model.fusion),
            "multiplications_per_voxel": multiplications(self.trainer.model.translator),
            "settings": asdict(settings),
        }


def train(
    settings: TrainingSettings,
    output: Path,
    place: Place | None = None,
    resume: Checkpoint | None = None,
    hooks: Hooks | None = None,
) -> Outcome:
    """Trains and writes the files named in OutputFiles. Raises TrainingError or OSError."""
    place = place or Place()
    if resume is not None:
        _check_same_run(settings, resume)
    output.parent.mkdir(parents=True, exist_ok=True)
    share = DataShare(settings.seed, settings.data, place.group.rank, place.group.size)
    with closing(open_source(share, _first_stream(place.group, resume), place.workers)) as source:
        return Run(settings, output, place, source, resume).train(hooks or Hooks())


def _first_stream(group: ProcessGroup, resume: Checkpoint | None) -> int:
    """Where this process goes on. One that the run did not have so far begins where the others are at most."""
    if resume is None:
        return 0
    return (resume.streams + [max(resume.streams)] * group.size)[group.rank]


def _check_same_run(settings: TrainingSettings, resume: Checkpoint) -> None:
    if resume.settings.architecture != settings.architecture:
        asked, found = (asdict(s.architecture) for s in (settings, resume.settings))
        raise CheckpointError(f"the checkpoint is of another architecture: {found}, not {asked}")
    if resume.settings.seed != settings.seed:
        raise CheckpointError(f"the checkpoint is of seed {resume.settings.seed}, not {settings.seed}")


def _load(trainer: Trainer, resume: Checkpoint) -> None:
    try:
        trainer.load(resume.step, resume.tensors)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint does not fit its architecture: {error}") from error


def _named(output: Path, suffix: str) -> Path:
    return output.with_name(output.name.removesuffix(".safetensors") + suffix)
