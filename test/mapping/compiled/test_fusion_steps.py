# SPDX-License-Identifier: Apache-2.0
"""The compiled mapper against the one in plain torch, frame by frame in a room; and who gets which."""

import importlib.util

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.compiled.fusion_steps import CompiledSteps
from neuralfusion_ros.mapping.fusion_steps import FusionSteps, fusion_steps
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import FREE, WEIGHT, n_channels

VOXEL_M = 0.025
SETTINGS = MapSettings(voxel_size_m=VOXEL_M)
CAMERA = PinholeCamera(160, 120, 130.0, 134.0, 78.5, 61.0)
SMALL = PinholeCamera(33, 1, 30.0, 30.0, 16.0, 0.0)
LOW, HIGH = np.array([-1.63, -1.21, -0.97]), np.array([1.48, 1.32, 1.06])  # inner walls of the room


def pose(frame: int) -> np.ndarray:
    """A walk through the room that looks around."""
    optical = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    turn = Rotation.from_euler("zy", [35 * frame, 15 * np.sin(frame)], degrees=True)
    return pose_matrix([0.3 * np.cos(frame), 0.2 * np.sin(frame), 0.02 * frame], (turn * optical).as_quat())


def depth_image(frame: int, camera: PinholeCamera = CAMERA) -> np.ndarray:
    """(H, W) depth of the walls, with noise and holes."""
    rng = np.random.default_rng(frame)
    T = pose(frame)
    directions = camera.rays().double().numpy() @ T[:3, :3].T
    with np.errstate(divide="ignore"):
        to_walls = np.maximum((LOW - T[:3, 3]) / directions, (HIGH - T[:3, 3]) / directions).min(axis=-1)
    depth = to_walls * (1 + 0.004 * rng.standard_normal(to_walls.shape))
    depth[rng.random(depth.shape) < 0.05] = rng.choice([0.0, np.nan, np.inf])
    return depth.astype(np.float32)


@pytest.fixture
def model(network_of):
    """A small model with random weights."""
    model = LatentModel(Architecture(latent_channels=4, fusion_width=16, translator_width=8)).eval()
    model.fusion.load_state_dict(network_of(4, 16).state_dict())
    return model


def without_numba(monkeypatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find_spec(name))


def content(grid: BlockGrid) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys in order, and the values of their blocks."""
    order = np.lexsort(grid.keys.numpy().T[::-1])
    return grid.keys[order], grid.values[order].float()


def assert_equal_up_to_rounding(a: BlockGrid, b: BlockGrid) -> None:
    (keys_a, values_a), (keys_b, values_b) = content(a), content(b)
    assert torch.equal(keys_a, keys_b)
    differs = ((values_a - values_b).abs() > 0.01).any(dim=-1)
    assert float(differs.float().mean()) < 1e-3


def test_the_same_map_after_every_frame(model):
    compiled, reference = (Mapper(model, SETTINGS, compiled=choice) for choice in (True, False))
    for frame in range(10):
        found, expected = (m.integrate(depth_image(frame), pose(frame), CAMERA) for m in (compiled, reference))
        assert found.rays == expected.rays > 2000
        assert found.voxels == pytest.approx(expected.voxels, rel=1e-3)
        assert found.blocks_refused == expected.blocks_refused == 0
        assert_equal_up_to_rounding(compiled.grid, reference.grid)
    assert compiled.grid.n_blocks > 400
    assert int((compiled.grid.values[..., WEIGHT] > 2).sum()) > 10_000
    assert int((compiled.grid.values[..., FREE] > 0).sum()) > 10_000
    assert torch.equal(compiled.take_changed().unique(dim=0), reference.take_changed().unique(dim=0))


def test_a_map_of_evidence_alone():
    model = LatentModel(Architecture(latent_channels=0, fusion_width=16, translator_width=8)).eval()
    compiled, reference = (Mapper(model, SETTINGS, compiled=choice) for choice in (True, False))
    for frame in range(3):
        for mapper in (compiled, reference):
            mapper.integrate(depth_image(frame), pose(frame), CAMERA)
        assert_equal_up_to_rounding(compiled.grid, reference.grid)
    assert compiled.grid.channels == 4
    assert int((compiled.grid.values[..., WEIGHT] > 1).sum()) > 1000


def test_a_full_map_refuses_the_same_blocks(model):
    tight = MapSettings(voxel_size_m=VOXEL_M, max_bytes=1 << 20)
    compiled, reference = (Mapper(model, tight, compiled=choice) for choice in (True, False))
    for frame in range(3):
        found, expected = (m.integrate(depth_image(frame), pose(frame), CAMERA) for m in (compiled, reference))
        assert found.blocks_refused == expected.blocks_refused
        assert_equal_up_to_rounding(compiled.grid, reference.grid)
    assert found.blocks_refused > 50


def test_images_of_other_sizes_in_turn(model):
    compiled, reference = (Mapper(model, SETTINGS, compiled=choice) for choice in (True, False))
    for frame, camera in enumerate((SMALL, CAMERA, SMALL)):
        for mapper in (compiled, reference):
            mapper.integrate(depth_image(frame, camera), pose(frame), camera)
        assert_equal_up_to_rounding(compiled.grid, reference.grid)


def test_an_empty_image_changes_nothing(model):
    mapper = Mapper(model, SETTINGS, compiled=True)
    empty = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    result = mapper.integrate(empty, pose(0), CAMERA)
    assert (result.rays, result.voxels, result.blocks_refused, mapper.grid.n_blocks) == (0, 0, 0, 0)
    mapper.integrate(depth_image(0), pose(0), CAMERA)
    before = content(mapper.grid)
    mapper.take_changed()
    assert mapper.integrate(empty, pose(1), CAMERA).voxels == 0
    assert all(torch.equal(a, b) for a, b in zip(content(mapper.grid), before, strict=True))
    assert len(mapper.take_changed()) == 0


def test_mapping_goes_on_after_a_reset(model):
    mapper, fresh = (Mapper(model, SETTINGS, compiled=True) for _ in range(2))
    mapper.integrate(depth_image(0), pose(0), CAMERA)
    mapper.reset()
    for each in (mapper, fresh):
        each.integrate(depth_image(1), pose(1), CAMERA)
    assert all(torch.equal(a, b) for a, b in zip(content(mapper.grid), content(fresh.grid), strict=True))


@pytest.mark.parametrize("compiled", [True, False])
def test_warming_up_leaves_the_map_as_it_is(model, compiled):
    mapper = Mapper(model, SETTINGS, compiled=compiled)
    mapper.warm_up()
    assert mapper.grid.n_blocks == 0
    mapper.integrate(depth_image(0), pose(0), CAMERA)
    mapper.take_changed()
    before = [part.clone() for part in content(mapper.grid)]
    mapper.warm_up()
    assert all(torch.equal(a, b) for a, b in zip(content(mapper.grid), before, strict=True))
    assert len(mapper.take_changed()) == 0


def test_on_a_cpu_the_steps_are_compiled_unless_told_otherwise(model):
    assert Mapper(model, SETTINGS).compiled
    assert not Mapper(model, SETTINGS, compiled=False).compiled
    grid = BlockGrid(n_channels(model.architecture.latent_channels), SETTINGS.voxel_size_m)
    assert type(fusion_steps(True, grid, model.fusion, SETTINGS)) is CompiledSteps
    assert type(fusion_steps(False, grid, model.fusion, SETTINGS)) is FusionSteps


def test_elsewhere_the_steps_are_plain_torch(model):
    """The device meta has no memory; no GPU is needed to be refused."""
    assert not Mapper(model, SETTINGS, "meta").compiled
    with pytest.raises(ValueError, match="need numba and run on the CPU, not on meta"):
        Mapper(model, SETTINGS, "meta", compiled=True)


def test_without_numba_the_steps_are_plain_torch(model, monkeypatch):
    expected = Mapper(model, SETTINGS, compiled=False)
    without_numba(monkeypatch)
    mapper = Mapper(model, SETTINGS)
    assert not mapper.compiled
    for each in (mapper, expected):
        each.integrate(depth_image(0), pose(0), CAMERA)
    assert all(torch.equal(a, b) for a, b in zip(content(mapper.grid), content(expected.grid), strict=True))


def test_compiled_steps_without_numba_are_refused(model, monkeypatch):
    without_numba(monkeypatch)
    with pytest.raises(ValueError, match="need numba"):
        Mapper(model, SETTINGS, compiled=True)
