# SPDX-License-Identifier: Apache-2.0
"""Trains the fusion network and the translator together, on frames that arrive as they do on a robot."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model
from neuralfusion_ros.training.growing_map import GrowingMap
from neuralfusion_ros.training.losses import map_loss, sample_queries
from neuralfusion_ros.training.sequences import StreamSource


@dataclass(frozen=True)
class TrainingSettings:
    """steps: optimiser steps. streams: maps that grow side by side, one of them per step. frames_per_step: frames
    that the gradient passes through. queries: voxels judged per step.
    """

    steps: int = 4000
    seed: int = 0
    streams: int = 8
    frames_per_step: int = 3
    queries: int = 8192
    translator_rate: float = 2e-3
    fusion_rate: float = 3e-3
    weight_decay: float = 1e-4
    warm_up_steps: int = 50
    clip_norm: float = 1.0
    architecture: Architecture = field(default_factory=Architecture)


class Trainer:
    """Everything of a run: networks, optimiser, growing maps. Two with the same settings give the same losses."""

    def __init__(self, settings: TrainingSettings) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.model = LatentModel(settings.architecture)
        self.step = 0
        self._source = StreamSource(settings.seed)
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._maps: list[GrowingMap | None] = [None] * settings.streams
        rates = ((self.model.fusion, settings.fusion_rate), (self.model.translator, settings.translator_rate))
        groups = [{"params": list(network.parameters()), "lr": rate, "peak": rate} for network, rate in rates]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)

    def train_step(self) -> float:
        """Integrates the next frames of one map, judges it, and improves the networks. Returns the loss."""
        slot = self.step % self.settings.streams
        growing = self._maps[slot]
        if growing is None or growing.stream.exhausted:
            growing = self._maps[slot] = GrowingMap(self._source.stream(), self.model)
        latent = growing.integrate(growing.stream.take(self.settings.frames_per_step))
        queries = sample_queries(growing.grid, growing.stream, self.settings.queries, self._generator)
        self.step += 1
        if len(queries.target) == 0:  # the sensor has seen nothing yet
            return 0.0
        near, far = latent.states(queries.near), latent.states(queries.far)
        tsdf, occupancy_logit = self.model.translator(near, far, queries.offset)
        loss = map_loss(tsdf, occupancy_logit, queries.target)
        self._optimise(loss)
        return float(loss.detach())

    def _optimise(self, loss: torch.Tensor) -> None:
        s = self.settings
        warm = min(1.0, self.step / s.warm_up_steps)
        scale = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (self.step - 1) / s.steps))))
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * scale
        self._optimiser.zero_grad()
        loss.backward()
        for group in self._optimiser.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], s.clip_norm)
        self._optimiser.step()


def train(settings: TrainingSettings, output: Path, on_step: Callable[[int, float], None] | None = None) -> LatentModel:
    """Trains from a seed and writes OUTPUT.safetensors, its JSON card and OUTPUT.csv with the learning curve.

    The weights are written every 500 steps as well, so that a run that is cut off leaves its last state.
    """
    trainer = Trainer(settings)
    start = time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.with_suffix(".csv").open("w", newline="") as log:
        writer = csv.writer(log)
        writer.writerow(("step", "minutes", "loss"))
        recent: list[float] = []
        while trainer.step < settings.steps:
            recent.append(trainer.train_step())
            if on_step is not None:
                on_step(trainer.step, recent[-1])
            if trainer.step % 50 == 0:
                minutes = (time.monotonic() - start) / 60
                writer.writerow((trainer.step, f"{minutes:.2f}", f"{sum(recent) / len(recent):.5f}"))
                log.flush()
                recent.clear()
            if trainer.step % 500 == 0 or trainer.step == settings.steps:
                save_model(trainer.model, output.with_suffix(".safetensors"), _card(trainer, start))
    return trainer.model


def _card(trainer: Trainer, start: float) -> dict[str, object]:
    s = trainer.settings
    return {
        "licence": "Apache-2.0",
        "training_data": "procedural rooms; simulated structured light, active and multi-view stereo; no recordings",
        "steps": trainer.step,
        "steps_planned": s.steps,
        "seed": s.seed,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "command": f"neuralfusion train --steps {s.steps} --seed {s.seed}",
    }
