# SPDX-License-Identifier: Apache-2.0
"""The mapper in a room whose depth and distances are known in closed form."""

import contextlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.block_grid import BLOCK_SIZE, BLOCK_VOXELS, OutOfReach, voxel_offsets
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.extract import TRUNCATION_VOXELS
from neuralfusion_ros.mapping.integrate import visible_blocks
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.model import Architecture, LatentModel
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.mapping.query import FREE_SPACE, OCCUPIED, UNKNOWN
from neuralfusion_ros.mapping.ray_image import make_rays
from neuralfusion_ros.mapping.settings import MapSettings
from neuralfusion_ros.mapping.voxel_state import FREE, MEAN, WEIGHT

VOXEL_M = 0.05
TRUNCATION_M = TRUNCATION_VOXELS * VOXEL_M
SETTINGS = MapSettings(voxel_size_m=VOXEL_M)
CAMERA = PinholeCamera(96, 72, 80.0, 80.0, 47.5, 35.5)
TINY = Architecture(latent_channels=4, fusion_width=16, translator_width=8)
LOW, HIGH = np.array([-1.63, -1.21, -0.97]), np.array([1.48, 1.32, 1.06])  # inner walls of the room


def looking(yaw_deg: float, pitch_deg: float = 0.0) -> np.ndarray:
    """Pose of a camera in a world with z up; at yaw 0 it looks along x."""
    optical = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    turn = Rotation.from_euler("zy", [yaw_deg, pitch_deg], degrees=True)
    return pose_matrix([0.1, -0.2, 0.05], (turn * optical).as_quat())


def room_depth(pose: np.ndarray, camera: PinholeCamera = CAMERA) -> np.ndarray:
    """(H, W) exact depth from inside the room: the nearest of the six walls along every ray."""
    directions = camera.rays().double().numpy() @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        to_walls = np.maximum((LOW - pose[:3, 3]) / directions, (HIGH - pose[:3, 3]) / directions)
    return to_walls.min(axis=-1).astype(np.float32)


def room_distance(points: np.ndarray) -> np.ndarray:
    """(N, 3) points to (N,) exact distance to the walls, negative inside them, where only one wall is near."""
    return np.minimum(points - LOW, HIGH - points).min(axis=-1)


POSES = [looking(yaw, pitch) for yaw, pitch in ((0, 0), (60, 20), (130, -25), (200, 10), (260, -15), (320, 30))]


def new_mapper(settings: MapSettings = SETTINGS, device: str = "cpu") -> Mapper:
    torch.manual_seed(0)
    return Mapper(LatentModel(TINY).eval(), settings, device)


def mapped(poses: list[np.ndarray] = POSES) -> Mapper:
    mapper = new_mapper()
    for pose in poses:
        mapper.integrate(room_depth(pose), pose, CAMERA)
    return mapper


def voxel_centres_m(mapper: Mapper) -> np.ndarray:
    voxels = mapper.grid.keys[:, None] * BLOCK_SIZE + voxel_offsets()
    return (voxels.reshape(-1, 3).double().numpy() + 0.5) * VOXEL_M


def content(mapper: Mapper) -> dict[tuple[int, ...], bytes]:
    """Block to the bytes of its values."""
    return {
        tuple(key): values.numpy().tobytes()
        for key, values in zip(mapper.grid.keys.tolist(), mapper.grid.values, strict=True)
    }


def test_untrained_map_of_a_clean_room_is_exact():
    mapper = mapped()
    state = mapper.grid.values.reshape(-1, mapper.grid.channels).float().numpy()
    band, truth = state[:, WEIGHT] > 0, room_distance(voxel_centres_m(mapper)) / TRUNCATION_M
    error_voxels = np.abs(state[band, MEAN] - np.clip(truth[band], -1, 1)) * TRUNCATION_VOXELS
    assert band.sum() > 20_000
    assert np.median(error_voxels) < 0.15
    front = np.abs(truth[band]) < 0.5
    assert np.quantile(error_voxels[front], 0.9) < 0.6  # what is left lies in the corners of the room
    free = (state[:, FREE] > 0) & ~band
    assert free.sum() > 5_000
    assert (truth[free] > 0.5).mean() > 0.99


def test_result_tells_what_was_used():
    depth = room_depth(POSES[0])
    depth[:36] = 0
    mapper = new_mapper()
    result = mapper.integrate(depth, POSES[0], CAMERA)
    rays = make_rays(torch.from_numpy(depth), CAMERA, SETTINGS)
    assert result.rays == int(rays.valid.sum()) > 0
    assert result.voxels == int((mapper.grid.values[..., WEIGHT] > 0).sum()) > 0
    assert result.blocks_refused == 0


def test_mesh_and_questions():
    mapper = mapped()
    mesh = mapper.mesh()
    error_voxels = np.abs(room_distance(mesh.vertices.astype(np.float64))) / VOXEL_M
    assert len(mesh.triangles) > 5000
    assert np.median(error_voxels) < 0.15
    walls = np.array([[HIGH[0], 0, 0], [0, LOW[1], 0], [LOW[0], 0, 0]])
    inwards = np.array([[-1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert mapper.query(walls + 0.1 * inwards).state.tolist() == [FREE_SPACE] * 3
    assert mapper.query(walls - 0.1 * inwards).state.tolist() == [OCCUPIED] * 3
    assert mapper.query(np.array([[50.0, 0, 0]])).state.tolist() == [UNKNOWN]


@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (25, 15, 40)], ids=["straight", "askew"])
def test_mesh_covers_the_walls_that_were_seen(turn_deg):
    """As much surface as was seen, without holes, also where the walls do not run along the voxels."""
    turn = pose_matrix(np.zeros(3), Rotation.from_euler("xyz", turn_deg, degrees=True).as_quat())
    mapper, seen = new_mapper(), []
    for pose in POSES:
        depth = room_depth(pose)
        mapper.integrate(depth, turn @ pose, CAMERA)
        points = (CAMERA.rays().double().numpy() * depth[..., None]).reshape(-1, 3)
        seen.append(points @ pose[:3, :3].T + pose[:3, 3])
    mesh = mapper.mesh()
    vertices = mesh.vertices.astype(np.float64) @ turn[:3, :3]
    assert np.median(np.abs(room_distance(vertices))) < 0.15 * VOXEL_M
    cells = np.unique(np.floor(np.concatenate(seen) / VOXEL_M), axis=0)  # no wall lies on a border of cells
    corners = vertices[mesh.triangles]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area_share = np.linalg.norm(sides, axis=1).sum() / 2 / (len(cells) * VOXEL_M**2)
    assert 0.86 < area_share < 1.02  # cells at the rim of the view were seen in part


def test_mesh_follows_the_map():
    mapper = mapped(POSES[:1])
    before = len(mapper.mesh().triangles)
    for pose in POSES[1:]:
        mapper.integrate(room_depth(pose), pose, CAMERA)
        mapper.query(np.zeros((1, 3)))
    grown = mapper.mesh()
    assert len(grown.triangles) > before
    at_once = mapped().mesh()
    assert len(grown.triangles) == len(at_once.triangles)
    assert np.array_equal(grown.vertices, at_once.vertices)


@pytest.mark.parametrize("shape", [(72, 95), (71, 96), (96, 72), (72 * 96,), (72, 96, 1), (0, 0)])
def test_an_image_of_another_size_is_refused(shape):
    mapper = mapped(POSES[:1])
    before = content(mapper)
    with pytest.raises(ValueError, match="depth image"):
        mapper.integrate(np.ones(shape, np.float32), POSES[0], CAMERA)
    assert content(mapper) == before


@pytest.mark.parametrize("size", [(4097, 8), (8, 4097)])
def test_a_huge_image_is_refused_with_its_size(size):
    camera = PinholeCamera(size[0], size[1], 50.0, 50.0, 2.0, 2.0)
    with pytest.raises(ValueError, match=rf"depth image is \({size[0]}, {size[1]}\), the largest is 4096x4096"):
        new_mapper().integrate(np.ones(size[::-1], np.float32), POSES[0], camera)


@pytest.mark.parametrize("entry", [(0, 0), (1, 3), (2, 2), (3, 3)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_pose_that_is_not_finite_is_refused(entry, value):
    mapper = mapped(POSES[:1])
    before = content(mapper)
    pose = POSES[1].copy()
    pose[entry] = value
    with pytest.raises(ValueError, match="pose"):
        mapper.integrate(room_depth(POSES[1]), pose, CAMERA)
    assert content(mapper) == before


@pytest.mark.parametrize("place", [(1e9, 0.0, 0.0), (0.0, 0.0, -1e300), (0.0, 3e5, 0.0)])
def test_a_pose_where_blocks_have_no_coordinates_is_refused(place):
    mapper = mapped(POSES[:1])
    before = content(mapper)
    pose = POSES[0].copy()
    pose[:3, 3] = place
    with pytest.raises(OutOfReach, match=r"the camera is at \(.*with voxels of 0.05 m a map reaches to 209715 m"):
        mapper.integrate(room_depth(POSES[0]), pose, CAMERA)
    assert content(mapper) == before
    pose[:3, 3] = (2e5, -2e5, 2e5)
    result = mapper.integrate(room_depth(POSES[0]), pose, CAMERA)
    assert result.blocks_refused == 0 and mapper.grid.n_blocks > len(before)


def test_a_pose_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="pose"):
        new_mapper().integrate(room_depth(POSES[0]), POSES[0][:3], CAMERA)


@pytest.mark.parametrize("wrong", [POSES[0].T, 1000 * POSES[0], np.diag([1.0, 1.0, -1.0, 1.0]), np.zeros((4, 4))])
def test_a_pose_that_is_no_motion_is_refused(wrong):
    mapper = mapped(POSES[:1])
    before = content(mapper)
    with pytest.raises(ValueError, match="rotation and a translation"):
        mapper.integrate(room_depth(POSES[0]), wrong, CAMERA)
    assert content(mapper) == before


def test_depth_in_whole_millimetres_is_refused():
    depth_mm: Any = (1000 * room_depth(POSES[0])).astype(np.uint16)
    with pytest.raises(ValueError, match="metres, not uint16"):
        new_mapper().integrate(depth_mm, POSES[0], CAMERA)


def test_depth_and_pose_may_have_any_floating_type():
    as_float32, as_float64 = new_mapper(), new_mapper()
    as_float32.integrate(room_depth(POSES[0]), POSES[0], CAMERA)
    as_float64.integrate(room_depth(POSES[0]).astype(np.float64), POSES[0].tolist(), CAMERA)
    assert content(as_float32) == content(as_float64)


def test_distances_and_vertices_are_metres():
    mapper = mapped(POSES[:1])
    wall = np.array([HIGH[0], -0.2, 0.05])  # straight ahead of the camera
    ahead_m = np.array([0.15, 0.05, -0.05])
    answer = mapper.query(wall - ahead_m[:, None] * [1.0, 0.0, 0.0])
    assert answer.known.all()
    assert answer.tsdf_m == pytest.approx(ahead_m, abs=0.2 * VOXEL_M)
    vertices = mapper.mesh().vertices
    assert (vertices > LOW - VOXEL_M).all() and (vertices < HIGH + VOXEL_M).all()


@pytest.mark.parametrize("far_m", [1e7, 1e15, 1e30, 1e300])
def test_a_pose_beyond_the_range_of_the_map_leaves_it_unchanged(far_m):
    """Finite, but block coordinates end 2^20 blocks from the origin."""
    mapper = mapped(POSES[:2])
    before = content(mapper)
    pose = POSES[0].copy()
    pose[:3, 3] = far_m
    with contextlib.suppress(ValueError):
        mapper.integrate(room_depth(POSES[0]), pose, CAMERA)
    assert content(mapper) == before


@pytest.mark.parametrize("depth", [0.0, math.nan, 80.0])
def test_an_image_without_measurements_changes_nothing(depth):
    mapper = mapped(POSES[:2])
    before = content(mapper)
    mapper.take_changed()
    result = mapper.integrate(np.full((72, 96), depth, np.float32), POSES[0], CAMERA)
    assert (result.rays, result.voxels) == (0, 0)
    assert content(mapper) == before
    assert len(mapper.take_changed()) == 0


def test_first_image_without_measurements():
    mapper = new_mapper()
    assert mapper.integrate(np.zeros((72, 96), np.float32), POSES[0], CAMERA).voxels == 0
    assert len(mapper.take_changed()) == 0
    assert len(mapper.mesh().triangles) == 0


def test_take_changed_names_every_changed_block():
    """A block may be named though its values came out the same, but not one that got no update."""
    mapper, before = new_mapper(), dict[tuple[int, ...], bytes]()
    for number, pose in enumerate(POSES):
        mapper.integrate(room_depth(pose), pose, CAMERA)
        after = content(mapper)
        if number == 1:
            continue  # then the next call covers two frames
        zeros = bytes(BLOCK_VOXELS * mapper.grid.channels * 2)
        changed = {key for key, values in after.items() if values != before.get(key, zeros)}
        named = [tuple(key) for key in mapper.take_changed().tolist()]
        assert len(set(named)) == len(named)
        assert changed <= set(named)
        assert len(named) <= len(changed) + 2
        assert len(mapper.take_changed()) == 0
        before = after
    assert len(named) < mapper.grid.n_blocks


def test_two_runs_agree_in_every_bit():
    first, second = mapped(), mapped()
    assert content(first) == content(second)
    assert torch.equal(first.grid.keys, second.grid.keys)


def test_reset_starts_from_nothing():
    mapper = mapped(POSES[3:])
    mapper.mesh()
    mapper.reset()
    assert mapper.grid.n_blocks == 0
    assert len(mapper.take_changed()) == 0
    assert len(mapper.mesh().triangles) == 0
    assert mapper.query(np.zeros((1, 3))).state.tolist() == [UNKNOWN]
    for pose in POSES:
        mapper.integrate(room_depth(pose), pose, CAMERA)
    fresh = mapped()
    assert content(mapper) == content(fresh)
    assert np.array_equal(mapper.mesh().vertices, fresh.mesh().vertices)


def test_a_full_map_refuses_blocks_and_lives_on():
    settings = MapSettings(voxel_size_m=VOXEL_M, max_bytes=1 << 20)
    mapper = new_mapper(settings)
    results = [mapper.integrate(room_depth(pose), pose, CAMERA) for pose in POSES]
    assert results[-1].blocks_refused > 0
    assert mapper.grid.values.nbytes <= settings.max_bytes
    assert results[0].voxels > 0
    assert len(mapper.mesh().triangles) > 0


def test_any_camera_may_follow_another():
    mapper = mapped()
    small = PinholeCamera(33, 17, 25.0, 25.0, 16.0, 8.0)
    result = mapper.integrate(room_depth(POSES[0], small), POSES[0], small)
    assert result.rays == 33 * 17
    assert result.voxels > 0


def test_the_map_forgets_what_is_gone():
    """A box of 0.4 m stands in front of a wall for ten frames, then it is taken away."""
    mapper = new_mapper(MapSettings(voxel_size_m=VOXEL_M, max_weight=8.0))
    pose, wall = looking(0), room_depth(looking(0))
    with_box = wall.copy()
    with_box[25:45, 35:60] = 1.0
    inside_box = np.array([[pose[0, 3] + 1.03, pose[1, 3], pose[2, 3] - 0.02]])
    for _ in range(10):
        mapper.integrate(with_box, pose, CAMERA)
    assert mapper.query(inside_box).state.tolist() == [OCCUPIED]
    for _ in range(30):
        mapper.integrate(wall, pose, CAMERA)
    assert mapper.query(inside_box).state.tolist() == [FREE_SPACE]


def test_cost_of_a_frame_does_not_grow_with_the_map():
    """Twenty times as many blocks out of view: as many are looked at as before, and the outcome is the same."""
    mapper, large = mapped(), mapped()
    count = large.grid.n_blocks
    side = math.ceil((20 * count) ** (1 / 3))
    far = torch.cartesian_prod(*[torch.arange(side)] * 3) + 100
    large.grid.allocate(far)
    assert large.grid.n_blocks > 20 * count
    pose, depth = POSES[0], room_depth(POSES[0])
    rays, T = make_rays(torch.from_numpy(depth), CAMERA, SETTINGS), torch.from_numpy(pose).float()
    seen = visible_blocks(mapper.grid, rays, T)
    assert 0 < len(seen) < count
    assert torch.equal(visible_blocks(large.grid, rays, T), seen)
    mapper.integrate(depth, pose, CAMERA)
    large.integrate(depth, pose, CAMERA)
    assert torch.equal(mapper.grid.values, large.grid.values[:count])
    assert not large.grid.values[count:].any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_and_cpu_build_the_same_map():
    cpu, gpu = mapped(), new_mapper(device="cuda")
    for pose in POSES:
        gpu.integrate(room_depth(pose), pose, CAMERA)
    assert {tuple(key) for key in cpu.grid.keys.tolist()} == {tuple(key) for key in gpu.grid.keys.tolist()}
    ours = cpu.grid.values.float()
    theirs = gpu.grid.values[gpu.grid.find(cpu.grid.keys.cuda())].float().cpu()
    # A voxel on the border between two pixels or at the end of the band may fall to either side.
    assert ((ours - theirs).abs().amax(dim=-1) < 0.02).float().mean() > 0.998
    vertices = gpu.mesh().vertices.astype(np.float64)
    assert np.median(np.abs(room_distance(vertices))) < 0.15 * VOXEL_M
