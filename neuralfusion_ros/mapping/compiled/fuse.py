# SPDX-License-Identifier: Apache-2.0
"""Step 2, fuse, on a CPU: the layers of FusionNetwork with their weights laid out for it.

Matrix products stay with torch. The depthwise convolutions are compiled: they are memory-bound, and the layout that
the products want, channels last, is not the one that torch is fast with.
"""

from __future__ import annotations

import torch

from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.threads import in_threads
from neuralfusion_ros.mapping.compiled.world_rays import RAYS, Floats
from neuralfusion_ros.mapping.extract import SAMPLES
from neuralfusion_ros.mapping.fuse import HEAD_CHANNELS, FusionNetwork, Mix, RayUpdates, ray_updates

_ROWS = 8  # the least that is worth a thread


class CompiledFusion:
    """The same function as the network whose weights it has when it is made, without gradients."""

    def __init__(self, network: FusionNetwork) -> None:
        self._latent_channels = network.latent_channels
        weight, bias = network.leave.weight.detach(), network.leave.bias.detach()
        self._enter = _Linear(network.enter.weight.detach(), network.enter.bias.detach())
        self._mix = [_CompiledMix(mix) for mix in network.mix if isinstance(mix, Mix)]
        self._head = _Linear(weight[:HEAD_CHANNELS], bias[:HEAD_CHANNELS])
        self._vectors = _Linear(weight[HEAD_CHANNELS:], bias[HEAD_CHANNELS:] + network.sample_codes.detach().flatten())

    @torch.no_grad()
    def __call__(self, inputs: torch.Tensor) -> RayUpdates:
        """(h, w, RAY_FEATURES + S * SAMPLE_FEATURES) to the updates of h x w rays."""
        hidden = self._enter(inputs).relu_()
        for mix in self._mix:
            hidden = mix(hidden)
        vectors = self._vectors(hidden).unflatten(-1, (SAMPLES, self._latent_channels))
        return ray_updates(self._head(hidden), vectors)


class _Linear:
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self._weight, self._bias = weight.T.contiguous(), bias.clone()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(end_dim=1)
        out = rows.new_empty((len(rows), len(self._bias)))

        def multiply(part: slice) -> None:
            torch.addmm(self._bias, rows[part], self._weight, out=out[part])

        in_threads(multiply, len(rows), RAYS)
        return out.unflatten(0, x.shape[:2])


class _CompiledMix:
    def __init__(self, mix: Mix) -> None:
        convolution = mix.across_image
        self._weight = convolution.weight.detach()[:, 0].permute(1, 2, 0).contiguous().numpy()
        self._bias = convolution.bias.detach().clone().numpy()  # type: ignore[union-attr]
        self._dilation = int(convolution.dilation[0])
        self._across_channels = _Linear(mix.across_channels.weight.detach(), mix.across_channels.bias.detach())

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        mixed = torch.empty_like(hidden)
        image, out = hidden.numpy(), mixed.numpy()
        in_threads(
            lambda rows: _depthwise(image, self._weight, self._bias, self._dilation, rows.start, rows.stop, out),
            len(image),
            _ROWS,
        )
        return self._across_channels(mixed).relu_().add_(hidden)


@kernel
def _depthwise(image: Floats, weight: Floats, bias: Floats, dilation: int, first: int, end: int, out: Floats) -> None:
    """(h, w, C) image and (3, 3, C) weight to rows first..end of (h, w, C), zeros beyond the border."""
    height, width, channels = image.shape
    for v in range(first, end):
        for u in range(width):
            for c in range(channels):
                out[v, u, c] = bias[c]
            for i in range(3):
                near_v = v + (i - 1) * dilation
                if near_v < 0 or near_v >= height:
                    continue
                for j in range(3):
                    near_u = u + (j - 1) * dilation
                    if near_u < 0 or near_u >= width:
                        continue
                    for c in range(channels):
                        out[v, u, c] += image[near_v, near_u, c] * weight[i, j, c]
