# SPDX-License-Identifier: Apache-2.0
"""Step 2, fuse, compiled: FusionNetwork image row by image row, with its weights laid out for vector_sums."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch

from neuralfusion_ros.mapping.compiled.buffers import Buffers
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.layers import add_hidden, add_rows, begin, grouped, inputs_filled, sigmoid
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.compiled.vector_sums import OUTPUTS, PLACES, add_weighted
from neuralfusion_ros.mapping.compiled.world_rays import Floats
from neuralfusion_ros.mapping.extract import SAMPLES, TRUNCATION_VOXELS
from neuralfusion_ros.mapping.fuse import (
    HEAD_CHANNELS,
    MAX_CONFIDENCE,
    MAX_CORRECTION_VOXELS,
    MAX_VECTOR,
    MIN_CONFIDENCE,
    FusionNetwork,
    Mix,
    RayUpdates,
)

_ROWS = 8  # the least that is worth a thread


class _Linear(NamedTuple):
    weight: Floats  # (groups, inputs, OUTPUTS)
    bias: Floats  # (groups, OUTPUTS)


class _Mix(NamedTuple):
    """The residual block of that name."""

    dilation: int
    weight: Floats  # (groups, 3, 3, OUTPUTS), across the image
    bias: Floats  # (groups, OUTPUTS)
    across_channels: _Linear


class CompiledFusion:
    """The same function as the network whose weights it has when it is made, without gradients.

    For one thread: the next call overwrites what the last one returned.
    """

    @torch.no_grad()
    def __init__(self, network: FusionNetwork) -> None:
        self._latent_channels = network.latent_channels
        self._buffers = Buffers()
        self._groups = -(-network.enter.out_features // OUTPUTS)
        weight = inputs_filled(network.leave.weight, network.leave.in_features)
        codes = network.sample_codes.flatten()
        self._enter = _linear(network.enter.weight, network.enter.bias)
        self._mix = [_mix_of(cast(Mix, mix)) for mix in network.mix]
        self._head = _linear(weight[:HEAD_CHANNELS], network.leave.bias[:HEAD_CHANNELS])
        self._vectors = _linear(weight[HEAD_CHANNELS:], network.leave.bias[HEAD_CHANNELS:] + codes)

    def __call__(self, inputs: torch.Tensor) -> RayUpdates:
        """(h, w, RAY_FEATURES + S * SAMPLE_FEATURES) to the updates of h x w rays."""
        h, w = inputs.shape[:2]
        features = inputs.numpy()
        array = self._buffers.array
        hidden, mixed = (array(name, h, self._groups, w, OUTPUTS) for name in ("hidden", "mixed"))
        in_threads(lambda rows: _enter_rows(features[rows], self._enter, hidden[rows]), h, _ROWS)
        for mix in self._mix:
            in_threads(lambda rows: _mix_rows(hidden, mix, rows.start, rows.stop, mixed), h, _ROWS)  # noqa: B023
            hidden, mixed = mixed, hidden
        correction, confidence = array("correction", h, w), array("confidence", h, w, SAMPLES)
        vectors = array("vectors", h, w, SAMPLES * self._latent_channels)

        def leave(rows: slice) -> None:
            _head_rows(hidden[rows], self._head, correction[rows], confidence[rows])
            _vector_rows(hidden[rows], self._vectors, vectors[rows])

        in_threads(leave, h, _ROWS)
        of_samples = torch.from_numpy(vectors).unflatten(-1, (SAMPLES, self._latent_channels))
        return RayUpdates(torch.from_numpy(correction), torch.from_numpy(confidence), of_samples)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> _Linear:
    return _Linear(grouped(weight).numpy(), grouped(bias).numpy())


def _mix_of(mix: Mix) -> _Mix:
    convolution, linear = mix.across_image, mix.across_channels
    weight, bias = grouped(convolution.weight[:, 0]), grouped(cast(torch.Tensor, convolution.bias))
    across_channels = _linear(inputs_filled(linear.weight, linear.in_features), linear.bias)
    return _Mix(int(convolution.dilation[0]), weight.numpy(), bias.numpy(), across_channels)


@kernel
def _enter_rows(inputs: Floats, layer: _Linear, hidden: Floats) -> None:
    """(h, w, F) inputs to (h, groups, w, OUTPUTS) hidden values."""
    height, groups, width = hidden.shape[:3]
    sums = np.empty((width + PLACES, OUTPUTS), np.float32)
    for v in range(height):
        for group in range(groups):
            begin(sums, width, layer.bias[group])
            add_rows(sums, width, inputs[v], layer.weight[group])
            after, now = hidden[v, group].reshape(-1), sums.reshape(-1)
            for k in range(len(after)):
                after[k] = max(now[k], np.float32(0))


@kernel
def _mix_rows(hidden: Floats, mix: _Mix, first: int, end: int, mixed: Floats) -> None:
    """Rows first..end of (h, groups, w, OUTPUTS) hidden values through a residual block."""
    groups, width = hidden.shape[1:3]
    around, sums = np.empty((groups, width, OUTPUTS), np.float32), np.empty((width + PLACES, OUTPUTS), np.float32)
    for v in range(first, end):
        for group in range(groups):
            _depthwise(hidden, v, group, mix, around[group])
        for group in range(groups):
            begin(sums, width, mix.across_channels.bias[group])
            add_hidden(sums, width, around, mix.across_channels.weight[group])
            after, before, now = mixed[v, group].reshape(-1), hidden[v, group].reshape(-1), sums.reshape(-1)
            for k in range(len(after)):
                after[k] = before[k] + max(now[k], np.float32(0))


@kernel
def _depthwise(hidden: Floats, v: int, group: int, mix: _Mix, around: Floats) -> None:
    """Row v of a 3x3 convolution of every channel by itself, zeros beyond the border. around: (w, OUTPUTS)."""
    width, reach = len(around), mix.dilation
    steps, weights = np.empty(9, np.int64), np.empty((9, OUTPUTS), np.float32)
    begin(around, width, mix.bias[group])
    row = hidden[v, group].ctypes.data
    count = -1
    for u in range(width):
        if u <= reach or u >= width - reach:  # only here other neighbours lie within the image than before
            count = _neighbours(hidden, v, u, mix, group, steps, weights)
        place = row + u * OUTPUTS * hidden.itemsize
        add_weighted(around[u].ctypes.data, place, steps.ctypes.data, count, weights.ctypes.data)


@kernel
def _neighbours(
    hidden: Floats, v: int, u: int, mix: _Mix, group: int, steps: npt.NDArray[np.int64], weights: Floats
) -> int:
    """Lists the neighbours within the image: steps to them, in floats, and their weights. Returns how many."""
    height, groups, width = hidden.shape[:3]
    count = 0
    for i in range(3):
        for j in range(3):
            down, right = (i - 1) * mix.dilation, (j - 1) * mix.dilation
            if 0 <= v + down < height and 0 <= u + right < width:
                steps[count] = (down * groups * width + right) * OUTPUTS
                weights[count] = mix.weight[group, i, j]
                count += 1
    return count


@kernel
def _head_rows(hidden: Floats, layer: _Linear, correction: Floats, confidence: Floats) -> None:
    """Last layer, and ray_updates of mapping/fuse.py: (h, w) corrections and (h, w, S) confidences."""
    height, width = len(hidden), hidden.shape[2]
    sums = np.empty((width + PLACES, OUTPUTS), np.float32)
    least, span = np.float32(MIN_CONFIDENCE), np.float32(MAX_CONFIDENCE - 2 * MIN_CONFIDENCE)
    largest = np.float32(MAX_CORRECTION_VOXELS / TRUNCATION_VOXELS)
    for v in range(height):
        begin(sums, width, layer.bias[0])
        add_hidden(sums, width, hidden[v], layer.weight[0])
        for u in range(width):
            correction[v, u] = largest * (np.float32(2) * sigmoid(np.float32(2) * sums[u, 0]) - np.float32(1))  # tanh
            for sample in range(SAMPLES):
                confidence[v, u, sample] = least + span * sigmoid(sums[u, 1 + sample])


@kernel
def _vector_rows(hidden: Floats, layer: _Linear, vectors: Floats) -> None:
    """Last layer, and ray_updates of mapping/fuse.py: (h, w, S * L) update vectors."""
    height, width = len(hidden), hidden.shape[2]
    sums = np.empty((width + PLACES, OUTPUTS), np.float32)
    limit = np.float32(MAX_VECTOR)
    for v in range(height):
        for part in range(len(layer.bias)):
            begin(sums, width, layer.bias[part])
            add_hidden(sums, width, hidden[v], layer.weight[part])
            place = part * OUTPUTS
            for u in range(width):
                now, after = sums[u], vectors[v, u, place : place + OUTPUTS]
                for o in range(len(after)):
                    after[o] = min(max(now[o], -limit), limit)
