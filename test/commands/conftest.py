# SPDX-License-Identifier: Apache-2.0
"""A small recording and a model for the commands, and ways to run them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.datasets.sequence_folder import write_sequence_folder
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model
from neuralfusion_ros.training.camera_paths import hand_path
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import random_room

N_FRAMES = 10


@pytest.fixture(scope="session")
def camera() -> PinholeCamera:
    return PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)


@pytest.fixture(scope="session")
def room_frames(camera: PinholeCamera) -> list[Frame]:
    """Exact depth of a small room, 0.1 s apart."""
    room = random_room(3, "small")
    renderer = DepthRenderer(*room.mesh())
    poses = hand_path(room, np.random.default_rng(3), N_FRAMES)
    return [Frame(10**9 + 10**8 * k, renderer.render(camera, pose).copy(), pose) for k, pose in enumerate(poses)]


@pytest.fixture(scope="session")
def room_folder(tmp_path_factory: pytest.TempPathFactory, camera: PinholeCamera, room_frames: list[Frame]) -> Path:
    """A sequence folder of ten frames; not to be changed."""
    path = tmp_path_factory.mktemp("recording") / "room"
    write_sequence_folder(path, camera, room_frames)
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model: its map is about a TSDF."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_model(LatentModel(Architecture(latent_channels=2, fusion_width=8, translator_width=8)), path, {})
    return path


@pytest.fixture
def start(tmp_path: Path, root: Path) -> Callable[..., subprocess.Popen]:
    """start(*words): the command line as a process of its own, in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()

    def begin(*words: object) -> subprocess.Popen:
        env = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", "neuralfusion_ros.cli", *map(str, words)]
        return subprocess.Popen(command, env=env, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return begin
