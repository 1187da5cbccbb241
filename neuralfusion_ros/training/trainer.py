# SPDX-License-Identifier: Apache-2.0
"""Trains the fusion network and the translator together, on frames that arrive as they do on a robot."""

from __future__ import annotations

import math

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.training.ablation import leave_out
from neuralfusion_ros.training.errors import TrainingError
from neuralfusion_ros.training.growing_map import GrowingMap
from neuralfusion_ros.training.losses import map_loss, sample_queries
from neuralfusion_ros.training.process_group import ProcessGroup
from neuralfusion_ros.training.schedule import rate_factor
from neuralfusion_ros.training.settings import SettingsError, TrainingSettings
from neuralfusion_ros.training.stream_source import DataShare, LocalSource, StreamSource

_FORGETTING = 10
"""The mean reaches back over about one part in so many of the steps so far."""


class Trainer:
    """Everything of a run: networks, optimiser, growing maps. Two with the same settings give the same losses.

    model: the networks that learn. average: their mean over the last steps, which is what a run is for: the networks
    themselves lean towards the few worlds that they have seen last.

    device: of networks and maps. source: of the streams. group: the processes that train together.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        source: StreamSource | None = None,
        device: torch.device | str = "cpu",
        group: ProcessGroup | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        # Made on the CPU, so that the first weights do not depend on the device.
        self.model = first_model(settings).to(device)
        self.step = 0
        self._average = AveragedModel(self.model, avg_fn=_moved_on)
        self._group = group or ProcessGroup()
        self._source = source or LocalSource(DataShare(settings.seed, settings.data))
        self._generator = torch.Generator()
        self._maps: list[GrowingMap | None] = [None] * settings.streams
        rates = ((self.model.fusion, settings.fusion_rate), (self.model.translator, settings.translator_rate))
        groups = [{"params": _learning(network), "lr": rate, "peak": rate} for network, rate in rates]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)

    @property
    def average(self) -> LatentModel:
        """The mean of the networks, weighted towards the last steps."""
        average = self._average.module
        assert isinstance(average, LatentModel)
        return average

    @property
    def _networks(self) -> dict[str, LatentModel]:
        """By the beginning of their tensors' names in a checkpoint."""
        return {"model.": self.model, "average.": self.average}

    def train_step(self, minutes: float = 0.0) -> float:
        """Integrates the next frames of one map, judges it, and improves the networks. Returns the loss.

        minutes: of the run so far, for a learning rate that follows the time. Raises TrainingError.
        """
        slot = self.step % self.settings.streams
        growing = self._maps[slot]
        if growing is None or growing.stream.exhausted:
            growing = self._maps[slot] = GrowingMap(self._source.stream(), self.model)
        self._reseed()
        latent = growing.integrate(growing.stream.take(self.settings.frames_per_step))
        queries = sample_queries(growing.grid, growing.stream, self.settings.queries, self._generator)
        loss = None
        if len(queries.target):  # otherwise the sensor has seen nothing yet
            near, far = latent.states(queries.near), latent.states(queries.far)
            tsdf, occupancy_logit = self.model.translator(near, far, queries.offset)
            loss = map_loss(tsdf, occupancy_logit, queries.target, self.settings.solid_weight)
        return self._improve(loss, minutes)

    def restart_maps(self) -> None:
        """Every map begins anew, with the next streams of the source."""
        self._maps = [None] * self.settings.streams

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that the steps so far have changed, by name, but for the maps."""
        networks = self._networks.items()
        named = {of + name: tensor for of, model in networks for name, tensor in model.state_dict().items()}
        for number, moments in self._optimiser.state_dict()["state"].items():
            named |= {f"optimiser.{number}.{name}": tensor for name, tensor in moments.items()}
        return named

    def load(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        """Go on after step `step` with what `tensors` gave there. Raises ValueError when names or shapes differ."""
        parameters = _learning(self.model)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key in (key for key in tensors if key.startswith("optimiser.")):
            number, moment = key.split(".")[1:]
            moments.setdefault(int(number), {})[moment] = tensors[key]
        for index, state in moments.items():
            own = tuple(parameters[index].shape) if index < len(parameters) else None
            shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
            if shapes != {"step": (), "exp_avg": own, "exp_avg_sq": own}:
                raise ValueError(f"the optimiser's state of parameter {index} has another shape")
        for of, model in self._networks.items():
            weights = {name.removeprefix(of): tensor for name, tensor in tensors.items() if name.startswith(of)}
            try:
                model.load_state_dict(weights)
            except RuntimeError as error:
                raise ValueError(" ".join(str(error).split())) from error
        self._average.n_averaged.fill_(step)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.step = step

    def _reseed(self) -> None:
        """What a step draws follows from its number: no random state has to be kept for a run that goes on later."""
        words = np.random.SeedSequence([self.settings.seed, 3, self.step, self._group.rank]).generate_state(2)
        self._generator.manual_seed(int(words[0]) << 32 | int(words[1]))

    def _improve(self, loss: torch.Tensor | None, minutes: float) -> float:
        """One step of the optimiser along the gradients of all processes. Returns their mean loss."""
        factor = rate_factor(self.settings, self.step, minutes)
        self.step += 1
        self._optimiser.zero_grad()
        if loss is not None:
            loss.backward()
        mean = self._group.average_gradients(_learning(self.model), loss)
        if mean is not None:
            self._descend(mean, factor)
        self._average.update_parameters(self.model)
        return mean or 0.0

    def _descend(self, mean: float, factor: float) -> None:
        if not math.isfinite(mean):
            raise TrainingError(f"the loss is {mean} in step {self.step}; lower the learning rates")
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * factor
            torch.nn.utils.clip_grad_norm_(group["params"], self.settings.clip_norm)
        self._optimiser.step()


def first_model(settings: TrainingSettings) -> LatentModel:
    """The networks before the first step. Raises SettingsError."""
    model = LatentModel(settings.architecture)
    if settings.start_from:
        _begin_with(model, settings.start_from)
    leave_out(model, settings.without)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(settings.learn))
    if not _learning(model):
        raise SettingsError(f"learn: no weight's name begins with {settings.learn}")
    return model


def _moved_on(average: torch.Tensor, newest: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
    """Polynomial-decay averaging (Shamir and Zhang, ICML 2013): early steps are forgotten, however long the run."""
    return average + (newest - average) * (_FORGETTING / (steps + _FORGETTING))


def _begin_with(model: LatentModel, path: str) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"start_from: cannot read {path}: {error}") from error
    own = model.state_dict()
    for name, tensor in weights.items():
        if name not in own or own[name].shape != tensor.shape:
            raise SettingsError(f"start_from: {path} has another architecture: {name} {tuple(tensor.shape)}")
    model.load_state_dict(own | weights)


def _learning(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
