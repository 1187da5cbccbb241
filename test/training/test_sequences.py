# SPDX-License-Identifier: Apache-2.0
"""Training streams: everything follows from the seed, and what a stream has seen is known exactly."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.training.scenes import Scene
from neuralfusion_ros.training.sequences import NoisyStream, Tour, random_tour
from neuralfusion_ros.training.settings import DataSettings
from neuralfusion_ros.training.solids import box
from neuralfusion_ros.training.stage import HEIGHT_M


def assert_same_stream(a: NoisyStream, b: NoisyStream) -> None:
    assert a.voxel_size_m == b.voxel_size_m
    for ours, theirs in zip(a.take(1000), b.take(1000), strict=True):
        assert np.array_equal(ours.depth_m, theirs.depth_m)
        assert np.array_equal(ours.T_world_camera, theirs.T_world_camera)
    assert a.taken == b.taken


def flat_tour(pose: np.ndarray, depth_m: float = 2.0) -> Tour:
    """18 times the same look along z at a wall parallel to the image."""
    wall = box((*pose[:2, 3], pose[2, 3] + depth_m + 0.05), (20, 20, 0.1))
    camera = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)
    return Tour(Scene((wall,), np.eye(4), np.ones(3)), camera, np.stack([pose] * 18))


def test_rendered_sequence_is_exact_and_follows_from_its_seed():
    data = DataSettings(frames=18, image_widths=(160,))
    tour = random_tour(5, data)
    sequence = tour.render(np.arange(18))
    assert (sequence.camera.width, sequence.camera.height) == (160, 120)
    shape = (18, sequence.camera.height, sequence.camera.width)
    assert sequence.depth_m.shape == sequence.cosine.shape == shape
    assert sequence.depth_m.dtype == np.float32
    again = random_tour(5, data)
    assert again.camera == tour.camera
    assert np.array_equal(again.poses, tour.poses)
    some = again.render(np.array([7, 2]))
    for part in ("depth_m", "cosine", "poses"):
        assert np.array_equal(getattr(some, part), getattr(sequence, part)[[7, 2]])
    rays = sequence.camera.rays()[::4, ::4]
    depth = torch.from_numpy(sequence.depth_m[1])[::4, ::4]
    pose = torch.from_numpy(sequence.poses[1]).float()
    world = (rays * depth[..., None])[depth > 0] @ pose[:3, :3].T + pose[:3, 3]
    assert (depth > 0).float().mean() > 0.9
    assert float(sequence.scene.signed_distance(world).abs().quantile(0.95)) < 5e-3


def test_a_tour_shows_a_room_or_a_stage_as_often_as_asked():
    for share, expected in ((0.0, {False}), (1.0, {True}), (0.5, {False, True})):
        data = DataSettings(frames=18, image_widths=(64,), stage_share=share)
        tours = [random_tour(seed, data) for seed in range(6)]
        assert {float(tour.scene.room_size_m[2]) == 2 * HEIGHT_M for tour in tours} == expected


def test_stream_follows_from_its_seed(wall_tour):
    first, again = (NoisyStream(wall_tour, np.random.default_rng(3)) for _ in range(2))
    assert_same_stream(first, again)
    other = NoisyStream(wall_tour, np.random.default_rng(4))
    assert other.voxel_size_m != first.voxel_size_m


def test_frames_do_not_depend_on_how_many_are_taken_at_once(wall_tour):
    one_by_one, at_once = (NoisyStream(wall_tour, np.random.default_rng(8)) for _ in range(2))
    singles = []
    while not one_by_one.exhausted:
        singles.extend(one_by_one.take(1))
    for single, frame in zip(singles, at_once.take(1000), strict=True):
        assert np.array_equal(single.depth_m, frame.depth_m)
        assert np.array_equal(single.T_world_camera, frame.T_world_camera)


@pytest.mark.parametrize("seed", range(6))
def test_frames_are_noisy_versions_of_clean_ones(wall_tour, seed):
    stream = NoisyStream(wall_tour, np.random.default_rng(seed))
    assert 0.02 <= stream.voxel_size_m <= 0.04
    assert stream.taken == 0
    frames = stream.take(4)
    assert len(frames) == 4
    assert stream.taken == 4
    ended = [stream.exhausted]
    frames += stream.take(1000)
    assert [*ended, stream.exhausted] == [False, True]
    assert stream.take(3) == []
    assert 6 <= len(frames) <= 18
    poses = stream.sequence.poses
    assert len(np.unique(poses, axis=0)) == stream.taken == len(frames)
    for clean, pose, frame in zip(stream.sequence.depth_m, poses, frames, strict=True):
        assert frame.depth_m.shape == (48, 64)
        assert frame.depth_m.dtype == np.float32
        assert np.isfinite(frame.depth_m).all()
        both = (frame.depth_m > 0) & (clean > 0)
        assert both.mean() > 0.3
        assert np.median(np.abs(frame.depth_m - clean)[both]) < 0.1
        shift = np.linalg.norm(frame.T_world_camera[:3, 3] - pose[:3, 3])
        assert shift < 0.08


def test_a_prepared_stream_is_the_same_stream(wall_tour):
    stream, again = (NoisyStream(wall_tour, np.random.default_rng(8)) for _ in range(2))
    assert float(wall_tour.scene.signed_distance(torch.zeros(1, 3))) > 0
    prepared = pickle.loads(pickle.dumps(again.prepared()))  # noqa: S301, our own bytes
    points = torch.from_numpy(np.random.default_rng(0).uniform([-1, -1, 0], [1, 1, 2], (400, 3))).float()
    truth = stream.sequence.scene.signed_distance(points)
    while not stream.exhausted:
        for ours, theirs in zip(stream.take(4), prepared.take(4), strict=True):
            assert np.array_equal(ours.depth_m, theirs.depth_m)
            assert np.array_equal(ours.T_world_camera, theirs.T_world_camera)
        assert prepared.exhausted == stream.exhausted
        assert torch.equal(prepared.visible(points), stream.visible(points))
    assert torch.equal(prepared.sequence.scene.signed_distance(points), truth)
    assert (prepared.voxel_size_m, prepared.sequence.camera) == (stream.voxel_size_m, wall_tour.camera)
    # The original has been used by nobody: it still gives the same frames.
    assert_same_stream(again, NoisyStream(wall_tour, np.random.default_rng(8)))


def test_visible_on_a_plain_case():
    pose = pose_matrix([1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 1.0])
    stream = NoisyStream(flat_tour(pose), np.random.default_rng(0))
    edge = 32.0 / 50.0  # the outer edge of the image, half a pixel beyond the last centre, at depth 1
    cases = [
        ((0, 0, 1.0), True),
        ((0, 0, 1.999), True),
        ((0, 0, 2.001), False),  # behind the wall
        ((0, 0, 0.01), False),  # at the camera
        ((0, 0, -1.0), False),
        ((0, 0, 0.0), False),
        ((edge - 0.001, 0, 1.0), True),
        ((edge + 0.001, 0, 1.0), False),
        ((-edge + 0.001, 0, 1.0), True),
        ((-edge - 0.001, 0, 1.0), False),
        ((0, 24.0 / 50.0 - 0.001, 1.0), True),
        ((0, 24.0 / 50.0 + 0.001, 1.0), False),
        ((0, -0.9, 1.95), True),
        ((0, -0.95, 1.95), False),
    ]
    points = torch.tensor([point for point, _ in cases]) + torch.tensor([1.0, 2.0, 3.0])
    assert not stream.visible(points).any()  # nothing has been taken yet
    stream.take(1)
    assert stream.visible(points).tolist() == [expected for _, expected in cases]


def test_visible_against_a_plain_loop_over_the_frames_taken(wall_tour):
    stream = NoisyStream(wall_tour, np.random.default_rng(2))
    stream.take(3)
    rng, camera = np.random.default_rng(0), wall_tour.camera
    points = rng.uniform([-1.2, -0.8, -0.2], [1.2, 0.8, 1.9], (400, 3))
    found = stream.visible(torch.from_numpy(points).float()).tolist()
    compared = 0
    for point, visible in zip(points, found, strict=True):
        expected, close = False, False
        for number in range(stream.taken):
            pose = stream.sequence.poses[number]
            x, y, z = pose[:3, :3].T @ (point - pose[:3, 3])
            if z <= 0.05:
                continue
            u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
            close |= min(abs(u % 1 - 0.5), abs(v % 1 - 0.5)) < 1e-3
            if 0 <= round(u) < camera.width and 0 <= round(v) < camera.height:
                depth = stream.sequence.depth_m[number, round(v), round(u)]
                close |= abs(depth - z) < 1e-4
                expected |= bool(depth >= z)
        if not close:
            assert visible == expected
            compared += 1
    assert compared > 350
    assert 50 < sum(found) < 350


def test_pixels_without_a_hit_show_nothing(wall_tour):
    turned_away = replace(wall_tour, poses=wall_tour.poses @ np.diag([-1.0, 1, -1, 1]))
    stream = NoisyStream(turned_away, np.random.default_rng(0))
    stream.take(3)
    assert not stream.sequence.depth_m.any()
    assert not stream.visible(torch.tensor([[0.0, 0.0, -1.0]])).any()
