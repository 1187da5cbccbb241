# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from neuralfusion_ros.evaluation.experiments.frames import shuffled
from neuralfusion_ros.evaluation.experiments.sizes import resized
from neuralfusion_ros.evaluation.objects import PADDING, default_objects, in_cube, load_object, views_around
from neuralfusion_ros.evaluation.places import default_rooms, open_place, plain_camera, seen_with, spread
from neuralfusion_ros.mapping.camera import PinholeCamera


def test_the_same_seed_is_the_same_place_and_noise_numbers_stay():
    first, again = (open_place("procedural:7:small", 4, (48, 36)) for _ in range(2))
    other = open_place("procedural:8:small", 4, (48, 36))
    assert [number for number, _ in first.frames] == [0, 33, 66, 99]
    for (_, a), (_, b) in zip(first.frames, again.frames, strict=True):
        np.testing.assert_array_equal(a.depth_m, b.depth_m)
    assert first.mesh.vertices.shape != other.mesh.vertices.shape
    assert first.name == "procedural_7_small"
    assert (first.frames[0][1].depth_m > 0).mean() > 0.95  # inside a closed room


def test_spread_takes_both_ends():
    assert spread(list(range(100)), 3) == [0, 50, 99]
    assert spread([1, 2], 5) == [1, 2] == spread([1, 2], None)


def test_another_camera_sees_the_same_place():
    place = open_place("procedural:7:small", 2, (48, 36))
    wide = seen_with(place, resized(place.camera, 96, 72))
    fine, coarse = wide.frames[0][1].depth_m, place.frames[0][1].depth_m
    assert fine.shape == (72, 96)
    # A pixel of the coarse image lies between four of the fine one.
    between = (fine[0::2, 0::2] + fine[1::2, 0::2] + fine[0::2, 1::2] + fine[1::2, 1::2]) / 4
    assert np.median(np.abs(between - coarse)) < 0.005


def test_resized_keeps_the_field_of_view_and_the_centre():
    camera = resized(PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5), 1280, 720)
    assert camera == PinholeCamera(1280, 720, 1050.0, 1050.0, 639.5, 359.5)


def test_default_rooms_are_those_of_the_data_folder_or_procedural(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURALFUSION_TEST_DATA", str(tmp_path))
    assert default_rooms() == ("procedural:0", "procedural:1")
    assert default_objects(2) == ("procedural:0", "procedural:1")
    (tmp_path / "synth_room_07").mkdir()
    (tmp_path / "synth_room_07" / "gt_mesh.ply").touch()
    assert default_rooms() == (str(tmp_path / "synth_room_07"),)
    for name in ("a/1", "a/2", "a/3", "b/4"):
        (tmp_path / "objects" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "objects" / f"{name}.npz").touch()
    assert default_objects(3) == tuple(str(tmp_path / "objects" / f"{name}.npz") for name in ("a/1", "a/3", "b/4"))


def test_an_object_is_centred_in_the_cube(tmp_path):
    vertices = np.array([[10, 0, 0], [14, 0, 0], [10, 2, 0], [10, 0, 1]], dtype=np.float32)
    np.savez(tmp_path / "thing.npz", vertices=vertices, faces=np.array([[0, 1, 2], [0, 1, 3]]))
    name, mesh = load_object(str(tmp_path / "thing.npz"))
    assert name == "thing"
    scaled = in_cube(mesh, 2.0).vertices
    size = np.ptp(scaled, axis=0)
    assert size == pytest.approx((1 - 2 * PADDING) * 2.0 * np.array([1, 0.5, 0.25]))
    np.testing.assert_allclose(scaled.min(0) + scaled.max(0), 0, atol=1e-12)


def test_views_look_at_the_centre_from_everywhere():
    poses = views_around(50, 2.0)
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1)
    camera = plain_camera((64, 48))
    for pose in poses:
        centre = np.linalg.inv(pose)[:3, 3]
        np.testing.assert_allclose(centre, [0, 0, 2.0], atol=1e-9)
    assert camera.cx == 31.5
    assert np.linalg.norm(poses[:, :3, 3].mean(0)) < 0.1


def test_shuffled_frames_keep_their_numbers():
    place = open_place("procedural:7:small", 6, (16, 16))
    mixed = shuffled(place, 0)
    assert sorted(n for n, _ in mixed.frames) == [n for n, _ in place.frames]
    assert mixed.frames != place.frames
    assert all(frame is dict(place.frames)[number] for number, frame in mixed.frames)
    assert [n for n, _ in shuffled(place, 0).frames] == [n for n, _ in mixed.frames]
    assert [n for n, _ in shuffled(place, 1).frames] != [n for n, _ in mixed.frames]
