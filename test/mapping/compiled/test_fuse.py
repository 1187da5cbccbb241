# SPDX-License-Identifier: Apache-2.0
"""The compiled fusion network against FusionNetwork, with weights as after training."""

import pytest
import torch

from neuralfusion_ros.mapping.compiled.fuse import CompiledFusion
from neuralfusion_ros.mapping.fuse import FusionNetwork

TOLERANCE = 1e-5


def random_inputs(network: FusionNetwork, h: int, w: int) -> torch.Tensor:
    return torch.randn((h, w, network.enter.in_features), generator=torch.Generator().manual_seed(h * w))


@torch.no_grad()
def compare(network: FusionNetwork, inputs: torch.Tensor) -> None:
    (h, w), before = inputs.shape[:2], inputs.clone()
    fusion = CompiledFusion(network)
    fusion(torch.full((h + 1, w + 1, inputs.shape[-1]), torch.nan))  # an earlier frame leaves nothing behind
    found, expected = fusion(inputs), network(inputs)
    assert torch.equal(inputs, before)
    for name in ("correction", "confidence", "vectors"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.shape == b.shape, name
        assert torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE), f"{name}: {float((a - b).abs().max())}"
        assert b.numel() < 20 or float(b.std()) > 0.01  # the weights matter


@pytest.mark.parametrize(
    ("h", "w"), [(1, 1), (1, 7), (9, 1), (2, 2), (3, 3), (1, 2), (4, 5), (17, 23), (60, 80), (2, 100)]
)
def test_any_image_size(network_of, h, w):
    network = network_of(8)
    compare(network, random_inputs(network, h, w))


@pytest.mark.parametrize("latent_channels", [1, 2, 3, 4, 8, 12, 16])
def test_any_latent_dimension(network_of, latent_channels):
    network = network_of(latent_channels)
    compare(network, random_inputs(network, 13, 11))


@pytest.mark.parametrize("width", [1, 7, 48])
def test_any_width(network_of, width):
    network = network_of(4, width)
    compare(network, random_inputs(network, 13, 11))


def test_the_untrained_network():
    network = FusionNetwork(8)
    inputs = random_inputs(network, 6, 7)
    updates = CompiledFusion(network)(inputs)
    torch.testing.assert_close(updates.vectors, network.sample_codes.detach().expand(6, 7, -1, -1))
    torch.testing.assert_close(updates.confidence, torch.ones_like(updates.confidence))
    assert not updates.correction.any()


def test_it_keeps_the_weights_that_the_network_had(network_of):
    """Later changes of the network do not half reach it."""
    network = network_of(4)
    inputs = random_inputs(network, 5, 6)
    fusion = CompiledFusion(network)
    said = fusion(inputs)
    before = [said.correction.clone(), said.confidence.clone(), said.vectors.clone()]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    after = fusion(inputs)
    for now, then in zip((after.correction, after.confidence, after.vectors), before, strict=True):
        assert torch.equal(now, then)


def test_it_takes_no_gradients(network_of):
    network = network_of(4)
    updates = CompiledFusion(network)(random_inputs(network, 5, 6))
    assert not updates.correction.requires_grad
    assert not updates.vectors.requires_grad
