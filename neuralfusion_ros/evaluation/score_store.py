# SPDX-License-Identifier: Apache-2.0
"""Keeps the scores of plain TSDF fusion, which take most of an evaluation's time and do not depend on a model.

They are found again by all that went into them: frames, truth, methods and the code that measures. Any change there
means another file, so what is found is always what a new measurement would give.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.metrics import MapScores, MeshScores, VoxelScores
from neuralfusion_ros.evaluation.rooms import Room
from neuralfusion_ros.mapping.new_file import new_file
from neuralfusion_ros.mapping.settings import MapSettings

_MEASURING_CODE = Path(__file__).parent


class ScoreStore:
    """A folder with one JSON file for each method on each set of frames."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def scores(self, key: str, method: str, measure: Callable[[], list[MapScores]]) -> list[MapScores]:
        """The scores of a method under this key; measured and kept if they are not there yet. Raises OSError."""
        path = self._folder / f"{key}_{re.sub('[^a-z0-9]+', '_', method)}.json"
        kept = _read(path)
        if kept is not None:
            return kept
        scores = measure()
        self._folder.mkdir(parents=True, exist_ok=True)
        with new_file(path) as aside:
            aside.write_text(json.dumps([asdict(score) for score in scores]))
        return scores


def measurement_key(frames: Sequence[Frame], room: Room, settings: MapSettings) -> str:
    """A hash of everything that scores depend on, but for the name of the method."""
    digest = hashlib.sha256()
    for source in sorted(_MEASURING_CODE.glob("*.py")):
        digest.update(source.read_bytes())
    digest.update(repr((settings, room.camera)).encode())
    truth = room.truth
    digest.update(repr((truth.voxel_size_m, truth.truncation_m)).encode())
    arrays = [truth.centres, truth.tsdf_m, truth.free_centres, truth.surface, *truth.mesh]
    for frame in frames:
        arrays += [frame.depth_m, frame.T_world_camera]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> list[MapScores] | None:
    try:
        return [_score(values) for values in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError):
        return None  # not there, or not ours: it is measured anew and written over


def _score(values: dict[str, Any]) -> MapScores:
    mesh, voxels = MeshScores(**values["mesh"]), VoxelScores(**values["voxels"])
    return MapScores(str(values["name"]), voxels, float(values["free_space_error"]), mesh)
