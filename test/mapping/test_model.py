# SPDX-License-Identifier: Apache-2.0
"""Networks on disk: what was saved comes back, everything else is refused in one line."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from neuralfusion_ros.mapping.model import (
    MODELS_FOLDER,
    Architecture,
    LatentModel,
    ModelError,
    load_model,
    multiplications,
    save_model,
)

SMALL = Architecture(latent_channels=2, fusion_width=4, translator_width=3)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_model(LatentModel(SMALL), path, {"licence": "Apache-2.0"})
    return path


def described(path: Path, **changes: object) -> None:
    """Changes entries of the JSON file."""
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))


def assert_refused(name_or_path: object, part_of_message: str | None = None) -> None:
    with pytest.raises(ModelError, match=part_of_message) as caught:
        load_model(str(name_or_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_round_trip(tmp_path):
    torch.manual_seed(3)
    model = LatentModel(SMALL)
    path = tmp_path / "tiny.safetensors"
    sha256 = save_model(model, path, {"licence": "Apache-2.0", "steps": 5})
    loaded = load_model(str(path))
    assert loaded.architecture == SMALL
    assert (loaded.name, loaded.sha256) == ("tiny", sha256)
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, weights in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weights), name
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["steps"] == 5
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_saving_again_replaces_the_old_model(saved):
    torch.manual_seed(9)
    model = LatentModel(Architecture(3, 5, 6))
    save_model(model, saved, {})
    assert load_model(str(saved)).architecture == model.architecture


@pytest.mark.parametrize("position", [0, 9, 200, -1])
def test_a_damaged_byte_is_noticed(saved, position):
    content = bytearray(saved.read_bytes())
    content[position] ^= 0x10
    saved.write_bytes(content)
    assert_refused(saved, "damaged")


def test_a_truncated_file_is_noticed(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    assert_refused(saved, "damaged")


@pytest.mark.parametrize("field", ["latent_channels", "fusion_width", "translator_width"])
def test_weights_of_another_shape_are_refused(saved, field):
    architecture = json.loads(saved.with_suffix(".json").read_text())["architecture"]
    described(saved, architecture={**architecture, field: 7})
    assert_refused(saved, "does not fit")


def test_missing_description(saved):
    saved.with_suffix(".json").unlink()
    assert_refused(saved, "tiny.json")


def test_missing_weights(saved):
    saved.unlink()
    assert_refused(saved, "tiny.safetensors")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"sha256": ""}', '{"architecture": null}', "\ud83e"])
def test_descriptions_that_are_none(saved, text):
    saved.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert_refused(saved, "cannot read")


@pytest.mark.parametrize(
    "architecture",
    [
        {"latent_channels": "8"},
        {"latent_channels": None},
        {"latent_channels": -1},
        {"fusion_width": 2.5},
        {"colour": 3},
    ],
)
def test_impossible_architectures(saved, architecture):
    described(saved, architecture=architecture)
    assert_refused(saved)


def test_a_file_that_holds_no_weights(saved):
    saved.write_bytes(b"something else")
    described(saved, sha256=hashlib.sha256(b"something else").hexdigest())
    assert_refused(saved, "does not fit")


@pytest.mark.parametrize("name", ["no_such_model", "", "weights.pt", "../small"])
def test_unknown_names(name):
    assert_refused(name, "no model named")


def test_released_model_verifies():
    model = load_model("small")
    assert model.name == "small"
    assert len(model.sha256) == 64
    assert all(torch.isfinite(weights).all() for weights in model.state_dict().values())
    assert json.loads((MODELS_FOLDER / "small.json").read_text())["licence"] == "Apache-2.0"


def test_multiplications_counted_by_hand():
    """Rays have 26 features of their own, and 7 for each of 9 samples."""
    model = LatentModel(Architecture(latent_channels=2, fusion_width=4, translator_width=3))
    ray_inputs, vectors = 26 + 9 * 7, 9 * 2
    assert multiplications(model.fusion) == 4 * ray_inputs + 2 * (9 * 4 + 4 * 4) + 4 * (10 + vectors)
    inside = 2 * 3 * 3 + 3 * 3
    assert multiplications(model.translator) == 54 * 8 * 3 + 2 * (3 + 8) * 3 + 3 * 3 + inside
