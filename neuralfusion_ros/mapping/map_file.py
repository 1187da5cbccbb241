# SPDX-License-Identifier: Apache-2.0
"""Latent maps on disk: safetensors with a header of facts and a checksum. Never pickle.

A file is read and verified as a whole before anything is done with it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS
from neuralfusion_ros.mapping.block_index import KEY_LIMIT
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.mapping.voxel_state import FREE, VARIANCE, WEIGHT, n_channels

MAP_SUFFIX = ".nfmap"
_FORMAT, _VERSION = "neuralfusion latent map", "1"


class MapFileError(ValueError):
    """A file is not a usable map. The message is one line that says which file and why."""


@dataclass(frozen=True)
class StoredMap:
    """keys: (N, 3) int32 coordinates of blocks. values: (N, 512, C) float16 states of their voxels.

    model_sha256: of the model that made the values; another one cannot read them. frame_id: the map's frame.
    """

    keys: torch.Tensor
    values: torch.Tensor
    voxel_size_m: float
    model_sha256: str
    frame_id: str


def write_map(path: Path, stored: StoredMap) -> None:
    """Writes the file aside and renames it. Raises OSError when that fails."""
    tensors = {"keys": stored.keys.cpu().contiguous(), "values": stored.values.cpu().contiguous()}
    facts = {
        "format": _FORMAT,
        "version": _VERSION,
        "voxel_size_m": repr(stored.voxel_size_m),
        "model_sha256": stored.model_sha256,
        "frame_id": stored.frame_id,
    }
    with new_file(path) as aside:
        try:
            save_file(tensors, aside, {**facts, "checksum": _checksum(tensors, facts)})
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(f"{path} cannot be written: {error}") from error


def read_map(path: Path) -> StoredMap:
    """Reads and verifies a file. Raises MapFileError."""
    try:
        with safe_open(path, "pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    except (OSError, SafetensorError) as error:
        raise MapFileError(f"cannot read map {path}: {error}") from error
    if facts.get("format") != _FORMAT:
        raise MapFileError(f"{path} is not a latent map")
    if facts.get("version") != _VERSION:
        raise MapFileError(f"map {path} has version {facts.get('version')}, this package reads {_VERSION}")
    if facts.pop("checksum", "") != _checksum(tensors, facts):
        raise MapFileError(f"map {path} is damaged: its checksum is wrong")
    stored = _stored_map(path, tensors, facts)
    _check(path, stored.keys, stored.values)
    return stored


def _stored_map(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, str]) -> StoredMap:
    """A file with a right checksum may still have been made by another program."""
    missing = {"keys", "values"} - tensors.keys() | {"voxel_size_m", "model_sha256", "frame_id"} - facts.keys()
    if missing:
        raise MapFileError(f"map {path} lacks {', '.join(sorted(missing))}")
    try:
        voxel_size_m = float(facts["voxel_size_m"])
    except ValueError:
        raise MapFileError(f"map {path} has a voxel size that is no number: {facts['voxel_size_m']!r}") from None
    return StoredMap(tensors["keys"], tensors["values"], voxel_size_m, facts["model_sha256"], facts["frame_id"])


def _checksum(tensors: dict[str, torch.Tensor], facts: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(facts):
        digest.update(f"{name}={facts[name]}\n".encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())  # numpy has not every type
    return digest.hexdigest()


def _check(path: Path, keys: torch.Tensor, values: torch.Tensor) -> None:
    """The tensors are those of a map."""
    fits = keys.ndim == 2 and keys.shape[1] == 3 and keys.dtype == torch.int32
    fits &= values.ndim == 3 and values.shape[:2] == (len(keys), BLOCK_VOXELS) and values.dtype == torch.float16
    if not fits or values.shape[2] < n_channels(1):
        raise MapFileError(f"map {path} has keys {tuple(keys.shape)} and values {tuple(values.shape)} that do not fit")
    if len(keys) and (int(keys.amin()) <= -KEY_LIMIT or int(keys.amax()) >= KEY_LIMIT):
        raise MapFileError(f"map {path} has a block out of the range of coordinates")
    if len(keys.unique(dim=0)) < len(keys):
        raise MapFileError(f"map {path} has a block twice")
    if not values.isfinite().all() or (values[..., [WEIGHT, VARIANCE, FREE]] < 0).any():
        raise MapFileError(f"map {path} holds values that no voxel can have")
