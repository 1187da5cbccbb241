# SPDX-License-Identifier: Apache-2.0
"""Frames, maps and networks on which the kernels and the reference are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.fuse import FusionNetwork
from neuralfusion_ros.mapping.integrate import band_blocks
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.translate import TranslatorNetwork
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, VARIANCE, WEIGHT, n_channels

VOXEL_M = 0.03
_Network = TypeVar("_Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class Frame:
    """Rays that the reference has made, and the (4, 4) float32 pose of their camera."""

    rays: RayImage
    T_world_camera: torch.Tensor


def make_frame(seed: int, width: int = 61, height: int = 43) -> Frame:
    """Waves, a step, noise and holes, seen from anywhere; the world reaches to negative coordinates."""
    rng = np.random.default_rng(seed)
    camera = PinholeCamera(width, height, 0.8 * width, 0.85 * width, 0.48 * width, 0.51 * height)
    v, u = np.mgrid[:height, :width]
    depth = 1.1 + 0.2 * np.sin(u / 6) + 0.1 * np.cos(v / 4) + 0.004 * rng.standard_normal((height, width))
    depth[height // 3 :, 2 * width // 3 :] += 0.5
    depth[rng.random(depth.shape) < 0.1] = 0
    rays = make_rays(torch.from_numpy(depth).float(), camera, MapSettings(voxel_size_m=VOXEL_M))
    pose = pose_matrix(rng.uniform(-2, 2, 3), Rotation.random(random_state=rng).as_quat())
    return Frame(rays, torch.from_numpy(pose).float())


def make_map(frame: Frame, latent_channels: int, seed: int = 0, kept: float = 1.0) -> BlockGrid:
    """A share of the blocks around the surface of a frame, with random states; some voxels are untouched."""
    generator = torch.Generator().manual_seed(seed)
    grid = BlockGrid(n_channels(latent_channels), VOXEL_M)
    blocks = band_blocks(frame.rays, frame.T_world_camera, VOXEL_M).unique(dim=0)
    grid.allocate(blocks[torch.rand(len(blocks), generator=generator) <= kept])
    state = 2 * torch.rand(grid.values.shape, generator=generator) - 1
    state[..., [WEIGHT, FREE]] = 30 * state[..., [WEIGHT, FREE]].clamp(min=0)
    state[..., VARIANCE] = state[..., VARIANCE].square()
    state[..., MEAN] *= state[..., WEIGHT] > 0
    grid.values.copy_(state)
    return grid


def make_network(latent_channels: int, width: int = 16) -> FusionNetwork:
    """A network whose weights are all random, as after training."""
    torch.manual_seed(latent_channels)
    return _shaken(FusionNetwork(latent_channels, width), 0.2)


def make_translator(latent_channels: int, width: int = 32) -> TranslatorNetwork:
    """The same for the other network."""
    torch.manual_seed(latent_channels)
    return _shaken(TranslatorNetwork(latent_channels, width), 0.05)


def _shaken(network: _Network, scale: float) -> _Network:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="session")
def frame_of() -> Callable[..., Frame]:
    """make_frame."""
    return make_frame


@pytest.fixture(scope="session")
def map_of() -> Callable[..., BlockGrid]:
    """make_map."""
    return make_map


@pytest.fixture(scope="session")
def network_of() -> Callable[..., FusionNetwork]:
    """make_network."""
    return make_network


@pytest.fixture(scope="session")
def translator_of() -> Callable[..., TranslatorNetwork]:
    """make_translator."""
    return make_translator
