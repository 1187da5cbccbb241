# SPDX-License-Identifier: Apache-2.0
"""The trained networks on disk: weights as safetensors, everything else beside them as JSON. Never pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from neuralfusion_ros.mapping.fuse import FusionNetwork
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.mapping.translate import TranslatorNetwork

MODELS_FOLDER = Path(__file__).resolve().parent.parent / "models"


class ModelError(ValueError):
    """A model cannot be used. The message is one line that says which file and why."""


@dataclass(frozen=True)
class Architecture:
    """The shape of the networks. latent_channels: length of a voxel's latent vector; 0 for evidence alone."""

    latent_channels: int = 8
    fusion_width: int = 48
    translator_width: int = 32

    def __post_init__(self) -> None:
        for name, size in asdict(self).items():
            least = 0 if name == "latent_channels" else 1
            if not isinstance(size, int) or not least <= size <= 4096:
                raise ValueError(f"{name} must be a whole number in {least}..4096, got {size!r}")


class LatentModel(nn.Module):
    """The fusion network and the translator, trained together.

    name and sha256 identify the weights; sha256 is empty for networks that were not loaded from a file.
    """

    def __init__(self, architecture: Architecture, name: str = "untrained", sha256: str = "") -> None:
        super().__init__()
        self.architecture, self.name, self.sha256 = architecture, name, sha256
        self.fusion = FusionNetwork(architecture.latent_channels, architecture.fusion_width)
        self.translator = TranslatorNetwork(architecture.latent_channels, architecture.translator_width)


def multiplications(network: nn.Module) -> int:
    """Of one pass of the fusion network over a ray, or of the translator over a voxel: every weight is used once."""
    layers = (module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d))
    return sum(layer.weight.numel() for layer in layers)


def save_model(model: LatentModel, weights_path: Path, facts: dict[str, Any]) -> str:
    """Writes NAME.safetensors and NAME.json, each aside and renamed; returns the weights' sha256.

    facts: about the training; they go into the JSON file beside architecture and hash.
    """
    weights = save({name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()})
    sha256 = hashlib.sha256(weights).hexdigest()
    description = {"architecture": asdict(model.architecture), "sha256": sha256, **facts}
    card = (json.dumps(description, indent=2) + "\n").encode()
    for path, content in ((weights_path.with_suffix(".json"), card), (weights_path, weights)):
        with new_file(path) as aside:
            aside.write_bytes(content)
    return sha256


def load_model(name_or_path: str, device: torch.device | str = "cpu") -> LatentModel:
    """Loads a released model by name, or a .safetensors file, and verifies hash, names and shapes.

    Raises ModelError when a file is missing, damaged or does not fit its description.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = MODELS_FOLDER / f"{name_or_path}.safetensors"
        if not path.exists():
            known = ", ".join(sorted(p.stem for p in MODELS_FOLDER.glob("*.safetensors")))
            raise ModelError(
                f"no model named {name_or_path!r}; known: {known}; or give the path of a .safetensors file"
            )
    try:
        weights = path.read_bytes()
        description = json.loads(path.with_suffix(".json").read_text())
        architecture = Architecture(**description["architecture"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"cannot read model {path}: {error}") from error
    sha256 = hashlib.sha256(weights).hexdigest()
    if sha256 != description.get("sha256"):
        raise ModelError(f"model {path} is damaged: its sha256 is not the one in {path.with_suffix('.json').name}")
    model = LatentModel(architecture, path.stem, sha256)
    try:
        model.load_state_dict(load(weights))
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"model {path} does not fit its description: {str(error).splitlines()[0]}") from error
    return model.to(device).eval()
