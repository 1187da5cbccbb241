# SPDX-License-Identifier: Apache-2.0
"""Everything that decides what a training run learns. Where it runs, and where it writes, is decided elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from neuralfusion_ros.mapping.model import Architecture
from neuralfusion_ros.training.ablation import PARTS

LEAST_STREAM_FRAMES = 6
_LARGEST_STRIDE = 3
_LARGEST_SEED = (1 << 63) - 1


class SettingsError(ValueError):
    """A setting cannot be used. The message is one line that names it."""


@dataclass(frozen=True)
class DataSettings:
    """pool: tours in use at once; a tour is a path through a world. refresh: one of them is replaced every so many
    streams. frames: of a tour. image_widths: in pixels, one is drawn for each tour; images are 3/4 as high.
    stage_share: of the tours, those around single things, see stage; the others lead through rooms.
    """

    pool: int = 1
    refresh: int = 1
    frames: int = 48
    image_widths: tuple[int, ...] = (320, 480, 640)
    stage_share: float = 0.6

    def __post_init__(self) -> None:
        _at_least(1, pool=self.pool, refresh=self.refresh)
        _at_least(LEAST_STREAM_FRAMES * _LARGEST_STRIDE, frames=self.frames)
        if not 0 <= self.stage_share <= 1:
            raise SettingsError(f"stage_share must be in 0..1, got {self.stage_share}")
        if not self.image_widths or not all(64 <= width <= 4096 for width in self.image_widths):
            raise SettingsError(f"image_widths must be widths in 64..4096 pixels, got {list(self.image_widths)}")


@dataclass(frozen=True)
class TrainingSettings:
    """steps: optimiser steps to take; the learning rate falls along them. minutes: wall time after which the run stops;
    where steps is None the learning rate falls along the minutes. streams: maps that grow side by side, one of them
    per step. frames_per_step: frames that the gradient passes through. queries: places judged per step. solid_weight:
    how much more errors count where there is something solid; above 1 the map leaves out less and swells a little.
    checkpoint_steps: steps from one checkpoint to the next; all maps begin anew there. start_from: .safetensors file
    whose weights are the first ones; what it lacks begins as ever. learn: beginning of the names of the weights that
    are trained, such as `translator.inside`; empty for all. without: parts of the method that are left out, see
    ablation.PARTS.
    """

    steps: int | None = 8000
    minutes: float | None = None
    seed: int = 0
    streams: int = 8
    frames_per_step: int = 3
    queries: int = 8192
    solid_weight: float = 1.5
    translator_rate: float = 2e-3
    fusion_rate: float = 3e-3
    weight_decay: float = 1e-4
    warm_up_steps: int = 50
    clip_norm: float = 1.0
    checkpoint_steps: int = 250
    start_from: str = ""
    learn: str = ""
    without: tuple[str, ...] = ()
    architecture: Architecture = field(default_factory=Architecture)
    data: DataSettings = field(default_factory=DataSettings)

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise SettingsError("steps or minutes must be given, or training would never end")
        if self.steps is not None:
            _at_least(1, steps=self.steps)
        if self.minutes is not None:
            _more_than_0(minutes=self.minutes)
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise SettingsError(f"seed must be in 0..{_LARGEST_SEED}, got {self.seed}")
        _at_least(1, streams=self.streams, frames_per_step=self.frames_per_step, queries=self.queries)
        _at_least(1, warm_up_steps=self.warm_up_steps, checkpoint_steps=self.checkpoint_steps)
        for name in ("translator_rate", "fusion_rate", "weight_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be in 0..1, got {getattr(self, name)}")
        for part in self.without:
            if part not in PARTS:
                raise SettingsError(f"without: there is no part {part!r}; there are {', '.join(PARTS)}")
        _more_than_0(clip_norm=self.clip_norm, solid_weight=self.solid_weight)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise SettingsError(f"{name} must be at least {least}, got {value}")


def _more_than_0(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise SettingsError(f"{name} must be more than 0, got {value}")
