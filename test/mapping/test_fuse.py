# SPDX-License-Identifier: Apache-2.0
"""The fusion network: a neutral start, the same result at any image size and place, gradients everywhere."""

import pytest
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.extract import SAMPLES, RaySamples
from neuralfusion_ros.mapping.fuse import (
    MAX_CONFIDENCE,
    MAX_CORRECTION_VOXELS,
    MAX_VECTOR,
    FusionNetwork,
    RayUpdates,
    network_inputs,
)
from neuralfusion_ros.mapping.ray_image import RAY_FEATURES, RayImage
from neuralfusion_ros.mapping.voxel_state import n_channels

LATENT_CHANNELS = 8
REACH = 3  # rays around a ray that its output depends on

Content = tuple[torch.Tensor, ...]


def random_content(h: int, w: int, latent_channels: int = LATENT_CHANNELS, seed: int = 0) -> Content:
    """Features, states and signed distances."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.rand((h, w, SAMPLES, n_channels(latent_channels)), generator=generator)
    states[::2, ::3] = 0  # untouched voxels
    return (
        torch.randn((h, w, RAY_FEATURES), generator=generator),
        states,
        torch.rand((h, w, SAMPLES), generator=generator) * 2 - 1,
    )


def run(network: FusionNetwork, content: Content) -> RayUpdates:
    features, states, distance = content
    h, w = features.shape[:2]
    camera = PinholeCamera(w, h, 50.0, 50.0, w / 2, h / 2)
    rays = RayImage(camera, torch.ones(h, w), torch.ones(h, w), camera.rays(), -camera.rays(), features)
    samples = RaySamples(torch.zeros(h, w, SAMPLES, dtype=torch.int64), states, distance)
    return network(network_inputs(rays, samples))


def perturbed(latent_channels: int = LATENT_CHANNELS, width: int = 16) -> FusionNetwork:
    """A network whose weights are all random, as after training."""
    torch.manual_seed(1)
    network = FusionNetwork(latent_channels, width)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def outputs(updates: RayUpdates) -> torch.Tensor:
    """(h, w, 1 + S + S * L) everything the network says."""
    h, w = updates.correction.shape
    return torch.cat((updates.correction[..., None], updates.confidence, updates.vectors.reshape(h, w, -1)), dim=-1)


@pytest.mark.parametrize("latent_channels", [1, 2, 8, 12])
def test_untrained_it_takes_the_measurement_as_it_is(latent_channels):
    updates = run(FusionNetwork(latent_channels), random_content(7, 9, latent_channels))
    assert updates.correction.shape == (7, 9)
    assert updates.confidence.shape == (7, 9, SAMPLES)
    assert updates.vectors.shape == (7, 9, SAMPLES, latent_channels)
    assert not updates.correction.any()
    torch.testing.assert_close(updates.confidence, torch.ones(7, 9, SAMPLES))
    assert (updates.vectors == updates.vectors[0, 0]).all()


@pytest.mark.parametrize("latent_channels", [2, 8, 12])
def test_untrained_codes_are_overlapping_hats(latent_channels):
    codes = run(FusionNetwork(latent_channels), random_content(1, 1, latent_channels)).vectors[0, 0]
    torch.testing.assert_close(codes.sum(dim=-1), torch.ones(SAMPLES))  # a histogram: the shares add up to one
    assert codes.min() >= 0
    assert ((codes > 1e-6).sum(dim=-1) <= 2).all()
    where = (codes * torch.arange(latent_channels)).sum(dim=-1)
    torch.testing.assert_close(where, torch.linspace(0, latent_channels - 1, SAMPLES), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_outputs_stay_in_their_ranges():
    network = perturbed()
    network.leave.weight.mul_(100)
    updates = run(network, random_content(12, 12))
    assert float(updates.correction.abs().max()) <= MAX_CORRECTION_VOXELS / 4
    assert float(updates.confidence.min()) > 0.0199  # never zero: a voxel's weight divides
    assert float(updates.confidence.max()) <= MAX_CONFIDENCE
    assert float(updates.vectors.abs().max()) == MAX_VECTOR
    assert torch.isfinite(updates.vectors).all()


@torch.no_grad()
def test_the_size_of_the_image_does_not_matter():
    network, content = perturbed(), random_content(24, 30)
    whole = outputs(run(network, content))
    top, left, h, w = 5, 8, 13, 17
    features, states, distance = (t[top : top + h, left : left + w] for t in content)
    part = outputs(run(network, (features, states, distance)))
    inner = (slice(REACH, -REACH), slice(REACH, -REACH))
    torch.testing.assert_close(part[inner], whole[top : top + h, left : left + w][inner], atol=1e-5, rtol=1e-5)
    assert whole.std() > 0.1


@torch.no_grad()
def test_moving_the_content_of_the_image_moves_the_output():
    network, content = perturbed(), random_content(20, 24)
    features, states, distance = (torch.roll(t, (2, -5), dims=(0, 1)) for t in content)
    expected = torch.roll(outputs(run(network, content)), (2, -5), dims=(0, 1))
    inner = (slice(2 + REACH, -REACH), slice(REACH, -5 - REACH))
    torch.testing.assert_close(
        outputs(run(network, (features, states, distance)))[inner], expected[inner], atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_a_ray_is_felt_by_its_surroundings_only():
    network, content = perturbed(), random_content(15, 15)
    before = outputs(run(network, content))
    content[1][7, 7] += 0.5
    changed = (outputs(run(network, content)) != before).any(-1)
    assert changed[7, 7]
    assert changed.sum() > 9
    changed[7 - REACH : 8 + REACH, 7 - REACH : 8 + REACH] = False
    assert not changed.any()


@torch.no_grad()
def test_vectors_and_confidences_belong_to_their_samples():
    """Moving the starting code of one sample moves the vectors of that sample only."""
    network, content = perturbed(), random_content(4, 5)
    before = run(network, content).vectors
    network.sample_codes[3, 5] += 1
    moved = run(network, content).vectors - before
    torch.testing.assert_close(moved[:, :, 3, 5], torch.ones(4, 5))
    moved[:, :, 3, 5] = 0
    assert not moved.any()


def test_gradients_reach_every_weight():
    network = perturbed()
    content = random_content(6, 7)
    content[1].requires_grad_()
    outputs(run(network, content)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 1e-6, name
    assert content[1].grad is not None
    assert torch.isfinite(content[1].grad).all()
    assert content[1].grad.abs().max() > 0


def test_the_first_step_of_training_can_leave_the_neutral_start():
    network = FusionNetwork(LATENT_CHANNELS)
    outputs(run(network, random_content(6, 7))).square().sum().backward()
    assert network.leave.weight.grad is not None
    assert network.sample_codes.grad is not None
    assert network.leave.weight.grad.abs().max() > 0
    assert network.sample_codes.grad.abs().max() > 0
