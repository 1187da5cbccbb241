# SPDX-License-Identifier: Apache-2.0
"""Sensor noise has the statistics it is named after."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.sensor_families import FAMILIES, LEVELS, TRAINING_FAMILIES, random_sensor
from neuralfusion_ros.training.sensor_noise import SensorNoise, smooth_field

CAMERA = PinholeCamera(320, 240, 290.0, 290.0, 159.5, 119.5)
IDEAL = SensorNoise()


def flat(depth_m: float, camera: PinholeCamera = CAMERA) -> np.ndarray:
    return np.full((camera.height, camera.width), depth_m, dtype=np.float32)


def step_image(near_m: float = 1.0, far_m: float = 3.0) -> np.ndarray:
    """A near surface in the right half, from column 160 on."""
    depth = flat(far_m)
    depth[:, 160:] = near_m
    return depth


def room_like(rng: np.random.Generator, camera: PinholeCamera = CAMERA) -> np.ndarray:
    shape = (camera.height, camera.width)
    depth = (2.5 + smooth_field(rng, shape, 40)).clip(0.6, 6).astype(np.float32)
    depth[smooth_field(rng, shape, 25) > 1.5] = 0.8
    depth[:10, :10] = 0
    return depth


def camera_of_width(width: int) -> PinholeCamera:
    return PinholeCamera(width, width * 3 // 4, 0.9 * width, 0.9 * width, width / 2, width / 3)


@pytest.mark.parametrize("width", [96, 320, 640])
def test_clean_level_returns_its_input(width):
    camera = camera_of_width(width)
    depth = room_like(np.random.default_rng(0), camera)
    noisy = LEVELS["clean"].apply(depth, camera, np.random.default_rng(1), np.ones_like(depth))
    np.testing.assert_array_equal(noisy, depth)
    assert noisy is not depth


@pytest.mark.parametrize("sensor", [*LEVELS.values(), *FAMILIES.values()], ids=lambda s: f"{s.family}-{s.level:g}")
def test_output_is_depth_and_the_input_stays(sensor):
    depth = room_like(np.random.default_rng(0))
    before = depth.copy()
    noisy = replace(sensor, outlier_share=0.1).apply(depth, CAMERA, np.random.default_rng(1), np.ones_like(depth))
    np.testing.assert_array_equal(depth, before)
    assert noisy.dtype == np.float32
    assert noisy.shape == depth.shape
    assert np.all(noisy[:8, :8] == 0)
    valid = noisy[noisy > 0]
    assert np.isfinite(noisy).all()
    assert valid.min() >= 0.1
    assert valid.max() <= sensor.max_range_m
    assert valid.size > 0.6 * depth.size


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("depth_m", [0.8, 2.0, 4.0])
def test_axial_noise_has_the_stated_sigma(family, depth_m):
    sensor = replace(FAMILIES[family], level=2.0)
    axial = SensorNoise(
        level=2.0, axial_m=sensor.axial_m, axial_from_m=sensor.axial_from_m, correlated_share=sensor.correlated_share
    )
    error = axial.apply(flat(depth_m), CAMERA, np.random.default_rng(0)) - depth_m
    assert error.std() == pytest.approx(float(sensor.sigma_m(np.float32(depth_m))), rel=0.1)
    assert abs(error.mean()) < 0.25 * error.std()


def test_structured_light_sigma_is_the_published_curve():
    for level, name in ((2, "mild"), (5, "hard"), (10, "extreme")):
        for z in (0.4, 1.0, 3.0):
            expected = level * (1.2e-3 + 1.9e-3 * (z - 0.4) ** 2)
            assert LEVELS[name].sigma_m(np.float32(z)) == pytest.approx(expected, rel=1e-5)


def test_part_of_the_noise_is_common_to_neighbours():
    common = SensorNoise(level=1.0, axial_m=(0.01, 0, 0), correlated_share=0.4, correlation_px=8)
    error = common.apply(flat(2.0), CAMERA, np.random.default_rng(0)) - 2
    neighbour = np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1]
    distant = np.corrcoef(error[:, :-60].ravel(), error[:, 60:].ravel())[0, 1]
    # At half the width the 8 px are 4 px: exp(-1 / 64) of the common share.
    assert neighbour == pytest.approx(0.4 * np.exp(-1 / 64), abs=0.04)
    assert abs(distant) < 0.06


@settings(max_examples=8, deadline=None)
@given(st.floats(0.5, 60), st.integers(0, 1000))
def test_smooth_field_is_stationary_with_unit_variance(sigma_px, seed):
    fields = np.stack([smooth_field(np.random.default_rng([seed, i]), (24, 32), sigma_px) for i in range(300)])
    deviation = fields.std(axis=0)
    assert deviation.min() > 0.8
    assert deviation.max() < 1.25


def test_quantisation_has_equal_steps_in_inverse_depth():
    quantised = SensorNoise(inverse_depth_step=1 / 348)
    depth = np.broadcast_to(np.linspace(0.6, 6, 320, dtype=np.float32), (240, 320))
    noisy = quantised.apply(depth, CAMERA, np.random.default_rng(0))
    steps = 348 / noisy
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    assert np.all(np.abs(noisy - depth) <= 0.51 * depth**2 / 348 * 1.05 + 1e-4)
    assert len(np.unique(noisy)) < 320


@pytest.mark.parametrize("share", [0.01, 0.05, 0.14])
@pytest.mark.parametrize("outlier_px", [3.0, 9.0])
@pytest.mark.parametrize("width", [160, 640])
def test_outlier_share_is_the_nominal_one(share, outlier_px, width):
    camera = camera_of_width(width)
    sensor = SensorNoise(outlier_share=share, outlier_px=outlier_px)
    rng = np.random.default_rng(0)
    frames = [sensor.apply(flat(2.0, camera), camera, rng) for _ in range(4_000 // width)]
    wrong = np.mean([np.abs(frame - 2) > 0.03 for frame in frames])
    assert wrong == pytest.approx(share, rel=0.2)
    values = np.concatenate([frame[np.abs(frame - 2) > 0.03] for frame in frames])
    assert values.min() >= 0.3
    assert values.max() <= sensor.max_range_m
    assert 0.4 < np.mean(np.abs(values - 2) < 0.55) < 0.8


def test_half_of_the_outliers_come_in_blobs():
    sensor = SensorNoise(outlier_share=0.1, outlier_px=5)
    rng = np.random.default_rng(3)
    wrong = np.stack([np.abs(sensor.apply(flat(2.0), CAMERA, rng) - 2) > 0.03 for _ in range(10)])
    around = wrong[:, :-2, 1:-1].astype(int) + wrong[:, 2:, 1:-1] + wrong[:, 1:-1, :-2] + wrong[:, 1:-1, 2:]
    inside_blobs = np.mean(around[wrong[:, 1:-1, 1:-1]] >= 2)
    assert 0.35 < inside_blobs < 0.65


def test_outliers_fall_on_measured_pixels_only():
    depth = flat(2.0)
    depth[:120] = 0
    noisy = SensorNoise(outlier_share=0.1).apply(depth, CAMERA, np.random.default_rng(0))
    assert not noisy[:120].any()
    assert np.mean(np.abs(noisy[120:] - 2) > 0.03) == pytest.approx(0.1, rel=0.2)


def test_frames_are_independent_and_generators_decide():
    sensor = LEVELS["hard"]
    rng = np.random.default_rng(7)
    first, second = (sensor.apply(flat(2.0), CAMERA, rng) for _ in range(2))
    again = sensor.apply(flat(2.0), CAMERA, np.random.default_rng(7))
    np.testing.assert_array_equal(first, again)
    both = (np.abs(first - 2) < 0.2) & (np.abs(second - 2) < 0.2)
    assert both.mean() > 0.8
    assert abs(np.corrcoef(first[both], second[both])[0, 1]) < 0.05
    holes = np.mean(first == 0) * np.mean(second == 0)
    assert np.mean((first == 0) & (second == 0)) < max(4 * holes, 0.005)


def test_shadow_lies_left_of_the_near_surface():
    shadow = SensorNoise(baseline_m=0.075)
    noisy = shadow.apply(step_image(1.0, 3.0), CAMERA, np.random.default_rng(0))
    width = CAMERA.fx * 0.075 * (1 / 1.0 - 1 / 3.0)
    assert np.sum(noisy[100] == 0) == pytest.approx(width, abs=1.5)
    assert np.all(noisy[100, 160 - int(width) + 1 : 160] == 0)
    mirrored = shadow.apply(step_image(3.0, 1.0), CAMERA, np.random.default_rng(0))
    assert np.all(mirrored > 0)


def test_flying_pixels_are_between_near_and_far_and_at_the_edge():
    noisy = SensorNoise(flying_share=0.5).apply(step_image(), CAMERA, np.random.default_rng(0))
    flying = (noisy > 1.0) & (noisy < 3.0)
    columns = np.flatnonzero(flying.any(axis=0))
    assert set(columns) <= {159, 160}
    assert flying.sum() == pytest.approx(0.5 * 2 * 240, rel=0.2)


def test_fattening_moves_edges_outwards_only():
    noisy = SensorNoise(fattening_px=8).apply(step_image(), CAMERA, np.random.default_rng(0))
    edge = (noisy == 1.0).argmax(axis=1)
    assert edge.min() == 156
    assert edge.max() == 160
    assert 0.2 < np.mean(edge == 156) < 0.8


def test_lateral_jitter_only_moves_edges():
    noisy = SensorNoise(lateral_px=0.35).apply(step_image(), CAMERA, np.random.default_rng(0))
    changed = noisy != step_image()
    assert set(np.flatnonzero(changed.any(axis=0))) == {159, 160}
    assert changed[:, 159:161].mean() == pytest.approx(0.077, abs=0.03)


def test_outlines_waver_smoothly_and_anew_in_every_frame():
    sensor, rng = SensorNoise(wobble_px=2.0), np.random.default_rng(0)
    outlines = np.stack([(sensor.apply(step_image(), CAMERA, rng) > 2).sum(axis=1) for _ in range(40)]) - 160.0
    assert outlines.std() == pytest.approx(2.0 * CAMERA.width / 640, rel=0.3)
    assert np.abs(np.diff(outlines, axis=1)).max() <= 2 < np.abs(outlines).max()
    assert abs(np.mean(outlines[1:] * outlines[:-1])) < 0.2 * outlines.var()


def test_holes_cover_their_share_and_grazing_surfaces_vanish():
    rng = np.random.default_rng(0)
    holes = SensorNoise(hole_share=0.1)
    assert np.mean([holes.apply(flat(2.0), CAMERA, rng) == 0 for _ in range(20)]) == pytest.approx(0.1, rel=0.2)
    grazing = SensorNoise(grazing_cosine=0.15)
    lost = [np.mean(grazing.apply(flat(2.0), CAMERA, rng, flat(cosine)) == 0) for cosine in (0.02, 0.15, 0.9)]
    assert lost[0] > 0.9
    assert 0.3 < lost[1] < 0.7
    assert lost[2] == 0
    assert np.all(grazing.apply(flat(2.0), CAMERA, rng) > 0)


def test_time_of_flight_reads_too_far_in_concave_corners():
    u = np.abs(np.arange(320) - 160).astype(np.float32)
    corner = np.broadcast_to(3.0 - 0.008 * u, (240, 320)).astype(np.float32)
    error = SensorNoise(corner_bias=0.3).apply(corner, CAMERA, np.random.default_rng(0)) - corner
    assert error.min() > -1e-5
    assert error[120, 160] > 0.01
    assert error[120, 60] < 0.1 * error[120, 160]


def test_random_sensors_span_the_levels_and_keep_the_unseen_family_out():
    rng = np.random.default_rng(0)
    sensors = [random_sensor(rng) for _ in range(300)]
    assert {sensor.family for sensor in sensors} == {"ideal", *TRAINING_FAMILIES}
    assert not {"passive_stereo", "time_of_flight"} & set(TRAINING_FAMILIES)
    levels, outliers = ([getattr(sensor, name) for sensor in sensors] for name in ("level", "outlier_share"))
    assert max(levels) > 8
    assert max(levels) <= 10
    assert max(outliers) > 0.11
    assert max(outliers) <= 0.14
    assert 0.05 < np.mean([sensor == IDEAL for sensor in sensors]) < 0.16
    assert {random_sensor(rng, ("passive_stereo",)).family for _ in range(30)} == {"ideal", "passive_stereo"}


def test_streaks_run_along_the_rows():
    sensor = SensorNoise("streaks", streak_share=0.2)
    clean = np.full((120, 640), 2.0, np.float32)
    noisy = sensor.apply(clean, PinholeCamera(640, 120, 500.0, 500.0, 319.5, 59.5), np.random.default_rng(0))
    wrong = np.abs(noisy - clean) > 1e-3
    assert 0.12 < wrong.mean() < 0.28
    along, across = (
        (wrong[a] & wrong[b]).mean()
        for a, b in (
            ((slice(None), slice(8, None)), (slice(None), slice(None, -8))),
            ((slice(8, None), slice(None)), (slice(None, -8), slice(None))),
        )
    )
    assert along > 3 * across
    assert np.std(1 / noisy[wrong] - 0.5) == pytest.approx(sensor.streak_inverse_m, rel=0.3)
