# SPDX-License-Identifier: Apache-2.0
"""Which voxels a frame updates, and with what, against plain loops over voxels; and which blocks it needs."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.block_index import pack_keys, unpack_keys
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.extract import SAMPLES, TRUNCATION_VOXELS
from neuralfusion_ros.mapping.fuse import RayUpdates
from neuralfusion_ros.mapping.integrate import (
    VoxelUpdates,
    band_blocks,
    integrate,
    look_up_updates,
    visible_blocks,
)
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.mapping.ray_image import RayImage, make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import FREE, LATENT, MEAN, n_channels

VOXEL_M = 0.04
TRUNCATION_M = TRUNCATION_VOXELS * VOXEL_M
CAMERA = PinholeCamera(30, 22, 25.0, 27.0, 14.0, 11.5)
EDGE = 1e-4  # decisions closer than this are not compared


def random_pose(rng: np.random.Generator) -> np.ndarray:
    return pose_matrix(rng.uniform(-2, 2, 3), Rotation.random(random_state=rng).as_quat())


def plane_rays(
    camera: PinholeCamera, tilt_deg: float, around_deg: float, distance_m: float, voxel_m: float
) -> RayImage:
    """Rays of a plane that is `distance_m` away along the optical axis, tilted around an axis of the image."""
    tilt, around = math.radians(tilt_deg), math.radians(around_deg)
    normal = torch.tensor([math.sin(tilt) * math.cos(around), math.sin(tilt) * math.sin(around), -math.cos(tilt)])
    depth = normal[2] * distance_m / (camera.rays() @ normal)
    return make_rays(depth, camera, MapSettings(voxel_size_m=voxel_m, max_depth_m=4.0))


def bumpy_rays(rng: np.random.Generator) -> RayImage:
    """Waves, a step and holes."""
    v, u = torch.meshgrid(torch.arange(22.0), torch.arange(30.0), indexing="ij")
    depth = 1.1 + 0.2 * torch.sin(u / 6) + 0.1 * torch.cos(v / 4)
    depth[8:, 20:] += 0.5
    depth[torch.from_numpy(rng.random((22, 30)) < 0.1)] = 0
    rays = make_rays(depth, CAMERA, MapSettings(voxel_size_m=VOXEL_M))
    assert rays.camera == CAMERA
    return rays


def random_updates(camera: PinholeCamera, latent_channels: int = 2) -> RayUpdates:
    generator = torch.Generator().manual_seed(7)
    shape = (camera.height, camera.width)
    return RayUpdates(
        torch.rand(shape, generator=generator) - 0.5,
        0.1 + torch.rand((*shape, SAMPLES), generator=generator),
        torch.randn((*shape, SAMPLES, latent_channels), generator=generator),
    )


def grid_in_view(camera: PinholeCamera, pose: np.ndarray, voxel_m: float, far_m: float) -> BlockGrid:
    """A grid with every block around the camera's view up to a depth, and beyond its borders."""
    rays = camera.rays().numpy().reshape(-1, 3)
    corners = np.concatenate([rays[[0, camera.width - 1, -camera.width, -1]] * depth for depth in (0.0, 1.1 * far_m)])
    world = (corners @ pose[:3, :3].T + pose[:3, 3]) / (voxel_m * BLOCK_SIZE)
    low, high = np.floor(world.min(axis=0)).astype(int) - 2, np.floor(world.max(axis=0)).astype(int) + 3
    grid = BlockGrid(n_channels(2), voxel_m)
    grid.allocate(torch.cartesian_prod(*(torch.arange(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))))
    return grid


def keep_blocks(grid: BlockGrid, rows: torch.Tensor) -> BlockGrid:
    kept = BlockGrid(grid.channels, grid.voxel_size_m)
    kept.allocate(grid.keys[rows].long())
    return kept


Expected = tuple[str, float, float, list[float]]


def expected_update(centre: np.ndarray, rays: RayImage, updates: RayUpdates) -> Expected | None:
    """What one voxel gets, from its centre in the camera's frame. None when a decision is too close to call."""
    x, y, z = centre
    nothing: Expected = ("none", 0.0, 0.0, [])
    if z <= 0.01 + EDGE:
        return nothing if z <= 0.01 - EDGE else None
    u, v = rays.camera.fx * x / z + rays.camera.cx, rays.camera.fy * y / z + rays.camera.cy
    if min(abs(u % 1 - 0.5), abs(v % 1 - 0.5)) < 1e-3:
        return None
    column, line = round(u), round(v)
    if not (0 <= column < rays.camera.width and 0 <= line < rays.camera.height):
        return nothing
    depth = float(rays.depth_m[line, column])
    if depth == 0:
        return nothing
    ahead = (depth - z) / TRUNCATION_M
    normal, point = (t[line, column].double().numpy() for t in (rays.normals, rays.points_m))
    distance = float((centre - point) @ normal) / TRUNCATION_M
    if abs(abs(ahead) - 2) < EDGE or abs(abs(distance) - 1) < EDGE:
        return None
    if ahead > 2 or (abs(ahead) <= 2 and distance > 1):
        around = rays.depth_m[max(0, line - 1) : line + 2, max(0, column - 1) : column + 2]
        beside = abs(float(around[around > 0].min()) - z) / TRUNCATION_M
        if abs(beside - 1) < EDGE:
            return None
        return ("free", 0.0, 0.0, []) if beside > 1 else nothing
    if abs(ahead) > 2 or abs(distance) > 1:
        return nothing
    slot = (1 - distance) * TRUNCATION_VOXELS
    if abs(slot % 1 - 0.5) < 1e-3:
        return None
    sample = updates.vectors[line, column, round(slot)].tolist()
    corrected = min(max(distance - float(updates.correction[line, column]), -1.0), 1.0)
    return ("band", float(updates.confidence[line, column, round(slot)]), corrected, sample)


def found_updates(updates: VoxelUpdates) -> dict[int, Expected]:
    found: dict[int, Expected] = {row: ("free", 0.0, 0.0, []) for row in updates.free_rows.tolist()}
    band = zip(*(t.tolist() for t in (updates.rows, updates.weight, updates.signed_distance)), strict=True)
    for (row, weight, distance), vector in zip(band, updates.vectors.tolist(), strict=True):
        found[row] = ("band", weight, distance, vector)
    assert len(found) == len(updates.rows) + len(updates.free_rows)  # at most one update per voxel
    return found


@pytest.mark.parametrize("seed", range(3))
def test_updates_against_a_plain_loop_over_voxels(seed):
    rng = np.random.default_rng(seed)
    pose, rays = random_pose(rng), bumpy_rays(rng)
    updates = random_updates(rays.camera)
    T = torch.from_numpy(pose).float()
    everywhere = grid_in_view(rays.camera, pose, VOXEL_M, 2.0)
    near_surface = everywhere.find(band_blocks(rays, T, VOXEL_M).unique(dim=0))
    anywhere = torch.from_numpy(rng.integers(everywhere.n_blocks, size=4))
    ahead = np.floor((pose[:3, 3] + 0.6 * pose[:3, 2]) / everywhere.block_size_m).astype(np.int64)
    rows = torch.cat((near_surface[near_surface >= 0][::9], anywhere, everywhere.find(torch.from_numpy(ahead))[None]))
    grid = keep_blocks(everywhere, rows)
    found = found_updates(look_up_updates(grid, torch.arange(grid.n_blocks), rays, updates, T))
    counts = {"band": 0, "free": 0, "none": 0}
    for row in range(0, grid.n_blocks * BLOCK_VOXELS, 3):
        block, voxel = divmod(row, BLOCK_VOXELS)
        offset = np.array([voxel // 64, voxel // 8 % 8, voxel % 8])
        world = (grid.keys[block].numpy() * 8 + offset + 0.5) * VOXEL_M
        expected = expected_update(pose[:3, :3].T @ (world - pose[:3, 3]), rays, updates)
        if expected is None:
            continue
        kind, *numbers, vector = found.get(row, ("none", 0.0, 0.0, []))
        assert kind == expected[0]
        assert numbers == pytest.approx(expected[1:3], abs=1e-4)
        assert vector == expected[3]
        counts[kind] += 1
    assert min(counts.values()) > 20  # all cases have been there


def test_a_ray_beside_an_edge_says_nothing_about_the_edge():
    """Left of the 15th column a board at 0.9 m, right of it a wall at 2 m; the camera looks along z from the origin."""
    depth = torch.full((22, 30), 2.0)
    depth[:, :15] = 0.9
    rays = make_rays(depth, CAMERA, MapSettings(voxel_size_m=VOXEL_M))
    pose = np.eye(4)
    grid = grid_in_view(CAMERA, pose, VOXEL_M, 2.5)
    rows = torch.arange(grid.n_blocks)
    updates = look_up_updates(grid, rows, rays, random_updates(CAMERA), torch.from_numpy(pose).float())
    free = torch.zeros(grid.n_blocks * BLOCK_VOXELS, dtype=torch.bool)
    free[updates.free_rows] = True
    voxels = (grid.keys[:, None].long() * 8 + voxel_offsets()).reshape(-1, 3)
    x, y, z = ((voxels + 0.5) * VOXEL_M).T
    column, line = torch.round(x / z * CAMERA.fx + CAMERA.cx), torch.round(y / z * CAMERA.fy + CAMERA.cy)
    inside = (line >= 2) & (line < 20) & (z > 0.2)
    at_board = (z - 0.9).abs() < 0.9 * TRUNCATION_M
    beside = inside & (column == 15)
    assert (beside & at_board).sum() > 10 and not free[beside & at_board].any()
    assert free[beside & ((z - 0.9).abs() > 1.1 * TRUNCATION_M) & (z < 1.7)].all()  # in front of the board and behind
    further = inside & (column >= 16) & (column < 28)
    assert (further & at_board).sum() > 50 and free[further & at_board].all()


def test_only_the_named_blocks_are_looked_up():
    rng = np.random.default_rng(0)
    pose, rays = random_pose(rng), bumpy_rays(rng)
    T = torch.from_numpy(pose).float()
    grid = grid_in_view(rays.camera, pose, VOXEL_M, 2.0)
    whole = found_updates(look_up_updates(grid, torch.arange(grid.n_blocks), rays, random_updates(rays.camera), T))
    some = torch.from_numpy(rng.permutation(grid.n_blocks)[: grid.n_blocks // 3])
    part = found_updates(look_up_updates(grid, some, rays, random_updates(rays.camera), T))
    chosen = set(some.tolist())
    assert part.keys() == {row for row in whole if row // BLOCK_VOXELS in chosen}
    assert all(part[row] == whole[row] for row in part)


def test_look_up_in_no_blocks_gives_no_updates():
    rays = bumpy_rays(np.random.default_rng(0))
    none = torch.zeros(0, dtype=torch.int64)
    updates = look_up_updates(BlockGrid(6, VOXEL_M), none, rays, random_updates(rays.camera), torch.eye(4))
    assert len(updates.rows) == len(updates.free_rows) == 0


def test_voxels_out_of_view_keep_their_bytes():
    rng = np.random.default_rng(5)
    pose, rays = random_pose(rng), bumpy_rays(rng)
    T = torch.from_numpy(pose).float()
    grid = grid_in_view(rays.camera, pose, VOXEL_M, 2.0)
    grid.values.copy_(torch.rand(grid.values.shape, generator=torch.Generator().manual_seed(0)))
    before = grid.values.clone().reshape(-1, grid.channels)
    updates = look_up_updates(grid, torch.arange(grid.n_blocks), rays, random_updates(rays.camera), T)
    integrate(grid, updates, max_weight=64.0)
    changed = (grid.values.reshape(-1, grid.channels) != before).any(-1)
    touched = torch.zeros_like(changed)
    touched[torch.cat((updates.rows, updates.free_rows))] = True
    assert not changed[~touched].any()
    assert changed[touched].float().mean() > 0.99
    # Seen through: only evidence changes, not what is known of a surface.
    assert torch.equal(
        grid.values.reshape(-1, grid.channels)[updates.free_rows, MEAN:FREE], before[updates.free_rows, MEAN:FREE]
    )
    assert torch.equal(
        grid.values.reshape(-1, grid.channels)[updates.free_rows, LATENT], before[updates.free_rows, LATENT]
    )


def test_look_up_is_differentiable():
    rays = bumpy_rays(np.random.default_rng(1))
    updates = random_updates(rays.camera)
    for tensor in (updates.correction, updates.confidence, updates.vectors):
        tensor.requires_grad_()
    grid = keep_blocks(grid_in_view(rays.camera, np.eye(4), VOXEL_M, 2.0), torch.arange(60))
    grid.allocate(band_blocks(rays, torch.eye(4), VOXEL_M)[::11])
    found = look_up_updates(grid, torch.arange(grid.n_blocks), rays, updates, torch.eye(4))
    (found.weight.sum() + found.signed_distance.sum() + found.vectors.sum()).backward()
    assert updates.confidence.grad is not None
    assert updates.vectors.grad is not None
    assert updates.correction.grad is not None
    assert float(updates.confidence.grad.sum()) == pytest.approx(len(found.rows))
    assert float(updates.vectors.grad.sum()) == pytest.approx(2 * len(found.rows))
    assert float(updates.correction.grad.sum()) == pytest.approx(-int((found.signed_distance.abs() < 1).sum()))


CAMERAS = {
    "fine": PinholeCamera(64, 48, 60.0, 60.0, 31.0, 24.5),
    "off centre": PinholeCamera(64, 48, 60.0, 55.0, 5.0, 50.0),
    "coarse": PinholeCamera(8, 6, 8.0, 8.0, 3.5, 2.5),
}


@pytest.mark.parametrize("tilt_deg", [0, 40, 75])
@pytest.mark.parametrize("camera", list(CAMERAS.values()), ids=list(CAMERAS))
def test_visible_blocks_hold_every_updated_voxel(camera, tilt_deg):
    for seed in range(3):
        rng = np.random.default_rng([seed, tilt_deg])
        pose = random_pose(rng)
        T = torch.from_numpy(pose).float()
        rays = plane_rays(camera, tilt_deg, rng.uniform(0, 360), 1.5, VOXEL_M)
        grid = grid_in_view(camera, pose, VOXEL_M, float(rays.depth_m.max()) + 3 * TRUNCATION_M)
        updates = random_updates(rays.camera)
        visible = visible_blocks(grid, rays, T)
        whole = look_up_updates(grid, torch.arange(grid.n_blocks), rays, updates, T)
        part = look_up_updates(grid, visible, rays, updates, T)
        assert len(visible) < grid.n_blocks
        assert set(part.rows.tolist()) == set(whole.rows.tolist())
        assert set(part.free_rows.tolist()) == set(whole.free_rows.tolist())


def test_nothing_is_visible_without_measurements():
    rays = make_rays(torch.zeros(48, 64), CAMERAS["fine"], MapSettings(voxel_size_m=VOXEL_M))
    grid = grid_in_view(CAMERAS["fine"], np.eye(4), VOXEL_M, 2.0)
    updates = look_up_updates(
        grid, visible_blocks(grid, rays, torch.eye(4)), rays, random_updates(rays.camera), torch.eye(4)
    )
    assert len(updates.rows) == len(updates.free_rows) == 0
    assert len(band_blocks(rays, torch.eye(4), VOXEL_M)) == 0


def band_share(rays: RayImage, pose: np.ndarray, voxel_m: float) -> float:
    """Share of the voxels up to 3 voxels before and behind the points of all rays that band_blocks allocates."""
    T = torch.from_numpy(pose).float()
    grid = BlockGrid(1, voxel_m)
    grid.allocate(band_blocks(rays, T, voxel_m))
    points = rays.points_m[rays.valid].double().numpy()
    directions = points / np.linalg.norm(points, axis=-1, keepdims=True)
    along = np.concatenate([points + directions * step * voxel_m for step in np.arange(-3, 3.01, 0.5)])
    voxels = torch.from_numpy(np.floor((along @ pose[:3, :3].T + pose[:3, 3]) / voxel_m).astype(np.int64))
    voxels = unpack_keys(pack_keys(voxels).unique())
    return float((grid.find(voxels >> 3) >= 0).float().mean())


@pytest.mark.parametrize("tilt_deg", [0, 30, 60])
@pytest.mark.parametrize("distance_m", [0.8, 1.6, 3.0])
def test_band_blocks_cover_the_band_of_all_rays(tilt_deg, distance_m):
    """Up to the corners of blocks that a ray cuts between two steps."""
    camera = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
    for seed in range(2):
        rng = np.random.default_rng([seed, tilt_deg])
        rays = plane_rays(camera, tilt_deg, rng.uniform(0, 360), distance_m, 0.02)
        assert band_share(rays, random_pose(rng), 0.02) > 0.996


def test_band_blocks_cover_the_band_of_widely_spaced_rays():
    """An image of 8 x 6 pixels, as small time-of-flight sensors give: rays are a block apart."""
    rays = plane_rays(CAMERAS["coarse"], 20, 30, 1.5, 0.02)
    assert band_share(rays, np.eye(4), 0.02) > 0.996


def test_band_blocks_are_near_the_surface():
    rays = plane_rays(CAMERAS["fine"], 20, 10, 1.5, VOXEL_M)
    keys = band_blocks(rays, torch.eye(4), VOXEL_M).unique(dim=0)
    centres = (keys + 0.5) * BLOCK_SIZE * VOXEL_M
    nearest = torch.cdist(centres, rays.points_m[rays.valid]).amin(dim=1)
    assert float(nearest.max()) <= TRUNCATION_M + BLOCK_SIZE * VOXEL_M * math.sqrt(3) / 2 + VOXEL_M
