# SPDX-License-Identifier: Apache-2.0
"""Parts of the method that can be left out, to see what each of them earns.

A part is left out by weights that make it do nothing and stay as they are. So nothing but the training knows of it:
the result is a model file like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from neuralfusion_ros.mapping.fuse import HEAD_CHANNELS
from neuralfusion_ros.mapping.model import LatentModel
from neuralfusion_ros.mapping.ray_image import RAY_FEATURES

Held = Iterator[tuple[torch.Tensor, torch.Tensor]]
"""Parameters, and which of their numbers stay 0: a mask of the same shape."""

_CORRECTION, _CONFIDENCE, _VECTORS = slice(0, 1), slice(1, HEAD_CHANNELS), slice(HEAD_CHANNELS, None)
_GATE = 2


def leave_out(model: LatentModel, parts: Sequence[str]) -> None:
    """Makes the PARTS do nothing, and keeps them so in training."""
    for part in parts:
        for parameter, mask in PARTS[part](model):
            with torch.no_grad():
                parameter.masked_fill_(mask, 0.0)
            # A gradient that is always 0 leaves a weight of 0 where it is, also with weight decay and moments.
            parameter.register_hook(partial(_hold, mask))


def _hold(mask: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return gradient.masked_fill(mask, 0.0)


def _outputs(rows: slice) -> Callable[[LatentModel], Held]:
    """What the fusion network says: correction, confidence or vectors."""

    def held(model: LatentModel) -> Held:
        for parameter in (model.fusion.leave.weight, model.fusion.leave.bias):
            mask = torch.zeros_like(parameter, dtype=torch.bool)
            mask[rows] = True
            yield parameter, mask

    return held


def _map_input(model: LatentModel) -> Held:
    """What the fusion network sees of the map along the ray."""
    weight = model.fusion.enter.weight
    mask = torch.zeros_like(weight, dtype=torch.bool)
    mask[:, RAY_FEATURES:] = True
    yield weight, mask


def _translator(model: LatentModel) -> Held:
    """All that the translator decides, but for one number that says how much free space counts."""
    heads, slope = model.translator.heads, model.translator.inside.slope
    yield heads.weight, torch.ones_like(heads.weight, dtype=torch.bool)
    yield heads.bias, torch.arange(len(heads.bias), device=heads.bias.device) != _GATE
    for parameter in slope.parameters():
        yield parameter, torch.ones_like(parameter, dtype=torch.bool)


PARTS: dict[str, Callable[[LatentModel], Held]] = {
    "map_input": _map_input,
    "correction": _outputs(_CORRECTION),
    "confidence": _outputs(_CONFIDENCE),
    "vectors": _outputs(_VECTORS),
    "translator": _translator,
}
"""map_input: the network sees the ray alone. correction, confidence, vectors: what the network says is 0, 1 and a fixed
code for each place along the ray. translator: the signed distance is the running mean."""
