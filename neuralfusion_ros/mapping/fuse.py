# SPDX-License-Identifier: Apache-2.0
"""Step 2, fuse: a network looks at every ray, its surroundings in the image and the map along it.

It predicts, for each ray, a correction along the normal of the tangent plane and, for each sample, a confidence and
an update vector. Untrained it takes the measurement as it is, with confidence 1 and a fixed code per sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from neuralfusion_ros.mapping.extract import SAMPLES, TRUNCATION_VOXELS, RaySamples
from neuralfusion_ros.mapping.ray_image import RAY_FEATURES, RayImage
from neuralfusion_ros.mapping.voxel_state import EVIDENCE_FEATURES, MEAN, WEIGHT, evidence_features

MAX_CORRECTION_VOXELS = 1.5
MAX_CONFIDENCE = 2.0
MAX_VECTOR = 8.0  # of a map's latent vectors too
MIN_CONFIDENCE = 0.02
HEAD_CHANNELS = 1 + SAMPLES  # a correction, and a confidence per sample
SAMPLE_FEATURES = 1 + EVIDENCE_FEATURES


@dataclass(frozen=True)
class RayUpdates:
    """What the network says of every ray.

    correction: (h, w) shift of the tangent plane towards the camera, in truncations. confidence: (h, w, S).
    vectors: (h, w, S, L) update vectors, within MAX_VECTOR.
    """

    correction: torch.Tensor
    confidence: torch.Tensor
    vectors: torch.Tensor


class FusionNetwork(nn.Module):
    """1x1 convolutions per ray and two depthwise 3x3, so that a frame costs about 15 thousand MACs per ray.

    latent_channels: L. width: channels of the hidden layers. The same weights serve any image size.
    """

    def __init__(self, latent_channels: int, width: int = 48) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        inputs = RAY_FEATURES + SAMPLES * SAMPLE_FEATURES
        self.enter = nn.Linear(inputs, width)
        self.mix = nn.ModuleList(Mix(width, dilation) for dilation in (1, 2))
        self.leave = nn.Linear(width, HEAD_CHANNELS + SAMPLES * latent_channels)
        self.sample_codes = nn.Parameter(_hat_codes(latent_channels))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, inputs: torch.Tensor) -> RayUpdates:
        """(h, w, F) `network_inputs` of h x w rays to what the map should take from them."""
        h, w = inputs.shape[:2]
        hidden = torch.relu(self.enter(inputs))
        for mix in self.mix:
            hidden = mix(hidden)
        head, vectors = self.leave(hidden).split((HEAD_CHANNELS, SAMPLES * self.latent_channels), dim=-1)
        return ray_updates(head, self.sample_codes + vectors.reshape(h, w, SAMPLES, self.latent_channels))


def ray_updates(head: torch.Tensor, vectors: torch.Tensor) -> RayUpdates:
    """(h, w, HEAD_CHANNELS) and (h, w, S, L) outputs of the last layer to what they mean."""
    correction, confidence = head[..., 0], head[..., 1:]
    return RayUpdates(
        torch.tanh(correction) * (MAX_CORRECTION_VOXELS / TRUNCATION_VOXELS),
        MIN_CONFIDENCE + (MAX_CONFIDENCE - 2 * MIN_CONFIDENCE) * torch.sigmoid(confidence),
        vectors.clamp(-MAX_VECTOR, MAX_VECTOR),
    )


class Mix(nn.Module):
    """Residual block: depthwise 3x3 across the image, then 1x1 across channels."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.across_image = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width)
        self.across_channels = nn.Linear(width, width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(h, w, width) to the same shape."""
        mixed = self.across_image(hidden.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
        return hidden + torch.relu(self.across_channels(mixed))


def network_inputs(rays: RayImage, samples: RaySamples) -> torch.Tensor:
    """(h, w, RAY_FEATURES + S * SAMPLE_FEATURES): the features of every ray and of every sample on it.

    Of a sample: the voxel's evidence, and how far its surface lies from the measured one. Not its latent vector: a
    network that reads the vectors that it wrote can run away, once the voxel is at its weight cap.
    """
    known = samples.states[..., WEIGHT] > 0
    disagreement = torch.where(known, samples.states[..., MEAN] - samples.signed_distance, 0.0).clamp(-1, 1)
    of_samples = torch.stack((disagreement, *evidence_features(samples.states)), dim=-1)
    return torch.cat((rays.features, of_samples.flatten(start_dim=-2)), dim=-1)


def _hat_codes(latent_channels: int) -> torch.Tensor:
    """(S, L) starting codes: overlapping hats, so that the mean code of a voxel is a histogram of its distances."""
    position = torch.linspace(0, max(latent_channels - 1, 0), SAMPLES)[:, None]
    return (1 - (position - torch.arange(latent_channels)).abs()).clamp(min=0)
