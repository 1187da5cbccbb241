# SPDX-License-Identifier: Apache-2.0
"""A part that is left out does nothing, before training and after, and the others learn."""

from dataclasses import replace

import pytest
import torch

from neuralfusion_ros.mapping.fuse import HEAD_CHANNELS, SAMPLE_FEATURES, RayUpdates
from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.ray_image import RAY_FEATURES
from neuralfusion_ros.training import stream_source
from neuralfusion_ros.training.ablation import PARTS
from neuralfusion_ros.training.settings import SettingsError, TrainingSettings
from neuralfusion_ros.training.trainer import Trainer

TINY = TrainingSettings(
    steps=4, streams=2, frames_per_step=2, queries=256, warm_up_steps=1, architecture=Architecture(2, 8, 8)
)


def trained(wall_tour, monkeypatch, **changes) -> LatentModel:
    monkeypatch.setattr(stream_source, "random_tour", lambda seed, data: wall_tour)
    trainer = Trainer(replace(TINY, **changes))
    before = {name: weights.clone() for name, weights in trainer.model.state_dict().items()}
    for _ in range(4):
        assert -1 < trainer.train_step() < 5
    # The whole of the network learns but for what is left out.
    assert any(not torch.equal(before[name], weights) for name, weights in trainer.model.state_dict().items())
    return trainer.average


def outputs(model: LatentModel) -> tuple[torch.Tensor, RayUpdates]:
    channels = RAY_FEATURES + 9 * SAMPLE_FEATURES
    inputs = torch.rand(4, 5, channels, generator=torch.Generator().manual_seed(0))
    return inputs, model.fusion(inputs)


def test_nothing_is_left_out_by_default(wall_tour, monkeypatch):
    model = trained(wall_tour, monkeypatch)
    inputs, found = outputs(model)
    assert found.correction.abs().max() > 0
    assert found.confidence.std() > 0
    inputs[..., RAY_FEATURES:] += 1
    assert not torch.equal(model.fusion(inputs).confidence, found.confidence)


def test_without_the_map_the_network_sees_the_ray_alone(wall_tour, monkeypatch):
    model = trained(wall_tour, monkeypatch, without=("map_input",))
    inputs, found = outputs(model)
    inputs[..., RAY_FEATURES:] += 1
    assert torch.equal(model.fusion(inputs).confidence, found.confidence)
    inputs[..., :RAY_FEATURES] += 1
    assert not torch.equal(model.fusion(inputs).confidence, found.confidence)


def test_what_the_network_does_not_say_has_its_first_value(wall_tour, monkeypatch):
    _, found = outputs(trained(wall_tour, monkeypatch, without=("correction", "vectors")))
    assert torch.equal(found.correction, torch.zeros(4, 5))
    assert found.confidence.std() > 0
    assert torch.equal(found.vectors, found.vectors[:1, :1].expand_as(found.vectors))
    _, found = outputs(trained(wall_tour, monkeypatch, without=("confidence",)))
    assert torch.equal(found.confidence, torch.ones_like(found.confidence))
    assert found.correction.abs().max() > 0
    assert found.vectors[..., 0].std() > 0


def test_without_translator_the_map_is_its_running_mean(wall_tour, monkeypatch):
    model = trained(wall_tour, monkeypatch, without=("translator", "vectors"))
    near, far = (torch.rand(50, 27, 6) * 0.9 for _ in range(2))
    near[:, 13, 3] = 0  # nobody has looked through the voxel
    tsdf, _ = model.translator(near, far, torch.rand(50, 3) - 0.5)
    torch.testing.assert_close(tsdf, near[:, 13, 1])
    assert model.translator.heads.bias[2] != 0  # how much free space counts is learned
    assert outputs(model)[1].correction.abs().max() > 0


def test_evidence_alone_needs_no_latent_vector(wall_tour, monkeypatch):
    model = trained(wall_tour, monkeypatch, architecture=Architecture(0, 8, 8), learn="translator")
    _, found = outputs(model)
    assert found.vectors.shape == (4, 5, 9, 0)
    assert torch.equal(found.confidence, torch.ones_like(found.confidence))
    assert model.fusion.leave.weight.shape == (HEAD_CHANNELS, 8)


def test_an_unknown_part_is_refused():
    with pytest.raises(SettingsError, match="there is no part 'codes'; there are map_input, correction"):
        TrainingSettings(without=("codes",))
    assert list(PARTS) == ["map_input", "correction", "confidence", "vectors", "translator"]
