# SPDX-License-Identifier: Apache-2.0
"""The layers of TranslatorNetwork behind its convolutions, for as many voxels at once as vector_sums serves.

Numbers per voxel come in groups of OUTPUTS; the last group is filled up with zeros.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn

from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.layers import add_hidden, add_rows, begin, grouped, inputs_filled, sigmoid
from neuralfusion_ros.mapping.compiled.vector_sums import OUTPUTS
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.translate import TranslatorNetwork

# erf(x) = x P(x^2) / Q(x^2) up to 8e-7, by least squares over [0, 3.95], where erf is 1 for float32.
_ERF_LIMIT = np.float32(3.95)
_ERF_P = tuple(map(np.float32, (1.1283828, 0.351155519, 0.0709407628, 0.00960948132, 0.000238655703, -1.35601181e-06)))
_ERF_Q = tuple(map(np.float32, (1.0, 0.644557893, 0.177693799, 0.0270948149, 0.00223029917)))
_HALF_ROOT = np.float32(0.5**0.5)


class Layers(NamedTuple):
    """Weights for K points in every voxel. Hidden values W are OUTPUTS times the number of groups, then F features."""

    weights: Floats  # (layers, groups, W + F, OUTPUTS)
    biases: Floats  # (K, layers, groups, OUTPUTS)
    head_weights: Floats  # (K, W, OUTPUTS): change of the signed distance, occupancy, gate, and zeros
    head_biases: Floats  # (K, OUTPUTS)


@torch.no_grad()
def lay_out(network: TranslatorNetwork, offsets: torch.Tensor) -> Layers:
    """The weights of the layers for points at (K, 3) offsets, in voxels."""
    hidden_layers = [cast(nn.Linear, layer) for layer in network.hidden]
    weights = torch.stack([grouped(inputs_filled(layer.weight, network.width)) for layer in hidden_layers])
    biases, heads, head_biases = [], [], []
    for offset in offsets:
        layers = zip(hidden_layers, network.inside.shifts, strict=True)
        biases.append(torch.stack([grouped(layer.bias + shift(offset)) for layer, shift in layers]))
        # The slope of the distance times the offset is one more part of its change.
        weight, bias = network.heads.weight.clone(), network.heads.bias.clone()
        weight[0] += offset @ network.inside.slope.weight
        bias[0] += offset @ network.inside.slope.bias
        heads.append(grouped(inputs_filled(weight, network.width))[0])
        head_biases.append(grouped(bias)[0])
    parts = (weights, torch.stack(biases), torch.stack(heads), torch.stack(head_biases))
    return Layers(*(part.numpy() for part in parts))


@kernel
def decide(layers: Layers, k: int, n: int, context: Floats, features: Floats, hidden: Floats) -> Floats:
    """Signed distance (in truncations) and occupancy at the k-th point of n voxels: [0, :n, :2] of what it returns.

    context: (groups, N, OUTPUTS) of the neighbourhoods. features: (N, F) of the voxels. N is at least
    n + PLACES - 1. hidden: (2, groups, N, OUTPUTS) to work in; the result is one of its halves.
    """
    before = context
    for layer in range(len(layers.weights)):
        after = hidden[layer & 1]
        for group in range(len(context)):
            weights, inside = layers.weights[layer, group], len(context) * OUTPUTS
            begin(after[group], n, layers.biases[k, layer, group])
            add_hidden(after[group], n, before, weights[:inside])
            add_rows(after[group], n, features, weights[inside:])
            gelu(after[group], n)
        before = after
    heads = hidden[len(layers.weights) & 1]
    begin(heads[0], n, layers.head_biases[k])
    add_hidden(heads[0], n, before, layers.head_weights[k])
    for i in range(n):
        distance = _distance(features[i, 0], features[i, 1], features[i, 2], heads[0, i, 0], heads[0, i, 2])
        heads[0, i, 0], heads[0, i, 1] = distance, sigmoid(heads[0, i, 1])
    return heads


@kernel
def gelu(values: Floats, n: int) -> None:
    """The exact Gaussian error linear unit of the first n of (N, OUTPUTS) values, in place."""
    for i in range(n):
        for j in range(OUTPUTS):
            x = values[i, j]
            limited = min(max(x * _HALF_ROOT, -_ERF_LIMIT), _ERF_LIMIT)
            t = limited * limited
            p = _ERF_P[0] + t * (_ERF_P[1] + t * (_ERF_P[2] + t * (_ERF_P[3] + t * (_ERF_P[4] + t * _ERF_P[5]))))
            q = _ERF_Q[0] + t * (_ERF_Q[1] + t * (_ERF_Q[2] + t * (_ERF_Q[3] + t * _ERF_Q[4])))
            values[i, j] = np.float32(0.5) * x * (np.float32(1) + limited * p / q)


@kernel
def _distance(
    weight: np.float32, mean: np.float32, carved: np.float32, delta: np.float32, gate: np.float32
) -> np.float32:
    """TranslatorNetwork.decide: between the two means of the evidence, then moved by delta."""
    one, most = np.float32(1), np.float32(0.98)
    band = mean if weight > 0 else carved
    base = min(max(carved + sigmoid(gate) * (band - carved), -most), most)
    moved = np.float32(2) * sigmoid(np.float32(2) * delta) - one  # tanh
    return (base + moved) / (one + base * moved)  # tanh(atanh(base) + delta)
