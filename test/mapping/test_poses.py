# SPDX-License-Identifier: Apache-2.0
"""Pose geometry, and what a PoseTrack answers inside, outside and between its poses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.poses import NoPose, PoseTrack, interpolate, pose_matrix, position_and_quaternion

SECOND = 10**9
QUARTER_TURN = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))

coordinates = st.floats(-1e3, 1e3)
turns = (
    st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: np.asarray(q) / np.linalg.norm(q))
)
poses = st.builds(pose_matrix, st.tuples(coordinates, coordinates, coordinates), turns)


def shifted(x: float) -> np.ndarray:
    return pose_matrix((x, 0, 0), (0, 0, 0, 1))


def test_quarter_turn_about_z_maps_x_to_y() -> None:
    T = pose_matrix((1, 2, 3), QUARTER_TURN)
    np.testing.assert_allclose(T @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)


@settings(deadline=None)
@given(poses)
def test_quaternion_round_trip(T: np.ndarray) -> None:
    np.testing.assert_allclose(pose_matrix(*position_and_quaternion(T)), T, atol=1e-12)


@pytest.mark.parametrize("position", [(np.nan, 0, 0), (0, np.inf, 0)])
def test_position_must_be_finite(position: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="not finite"):
        pose_matrix(position, (0, 0, 0, 1))


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 1.1), (0, 0, 0, 0.9)])
def test_quaternion_must_have_unit_length(quaternion: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="length"):
        pose_matrix((0, 0, 0), quaternion)


def test_quaternion_of_few_decimals_gives_a_rotation() -> None:
    R = pose_matrix((0, 0, 0), (0.001, 0, 0.707, 0.707))[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_interpolation_goes_straight_and_turns_evenly() -> None:
    T = interpolate(shifted(1.0), pose_matrix((4, 0, 0), QUARTER_TURN), 1 / 3)
    np.testing.assert_allclose(T[:3, 3], [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(Rotation.from_matrix(T[:3, :3]).as_euler("xyz", degrees=True), [0, 0, 30], atol=1e-9)


@settings(deadline=None)
@given(poses, poses)
def test_interpolation_starts_and_ends_at_the_poses(T_a: np.ndarray, T_b: np.ndarray) -> None:
    np.testing.assert_allclose(interpolate(T_a, T_b, 0.0), T_a, atol=1e-9)
    np.testing.assert_allclose(interpolate(T_a, T_b, 1.0), T_b, atol=1e-9)


@pytest.fixture
def track() -> PoseTrack:
    """x = time in seconds, at 10.0, 10.1 and 11.0 s."""
    track = PoseTrack()
    for tenths in (100, 101, 110):
        track.add(tenths * SECOND // 10, shifted(tenths / 10))
    return track


def test_exact_hit_is_the_pose_itself(track: PoseTrack) -> None:
    np.testing.assert_array_equal(track.at(10 * SECOND, max_gap_ns=0), shifted(10.0))


def test_between_neighbours_is_interpolated(track: PoseTrack) -> None:
    assert track.at(10_025_000_000, max_gap_ns=SECOND // 10)[0, 3] == pytest.approx(10.025)


def test_too_early_is_final_and_says_how_far_off(track: PoseTrack) -> None:
    with pytest.raises(NoPose, match=r"9\.500000 s.*10\.000000 s \(0\.500000 s later\)") as caught:
        track.at(9_500_000_000, SECOND)
    assert caught.value.reason == "before first"
    assert not caught.value.may_still_come


def test_too_late_may_still_come_and_then_does(track: PoseTrack) -> None:
    with pytest.raises(NoPose, match=r"11\.250000 s.*11\.000000 s \(0\.250000 s earlier\)") as caught:
        track.at(11_250_000_000, SECOND)
    assert caught.value.may_still_come
    track.add(11_500_000_000, shifted(11.5))
    assert track.at(11_250_000_000, SECOND)[0, 3] == pytest.approx(11.25)


def test_empty_track_waits_for_its_first_pose() -> None:
    with pytest.raises(NoPose, match="no poses") as caught:
        PoseTrack().at(0, SECOND)
    assert caught.value.may_still_come


def test_gap_is_final_and_names_both_neighbours(track: PoseTrack) -> None:
    with pytest.raises(NoPose, match=r"10\.100000 s.*11\.000000 s.*more than 0\.5 s apart") as caught:
        track.at(10_500_000_000, SECOND // 2)
    assert caught.value.reason == "gap"
    assert not caught.value.may_still_come


def test_same_stamp_replaces(track: PoseTrack) -> None:
    track.add(10 * SECOND, shifted(-1))
    assert len(track) == 3
    assert track.at(10 * SECOND, 0)[0, 3] == -1


def test_poses_older_than_the_window_are_dropped() -> None:
    track = PoseTrack(keep_ns=2 * SECOND)
    for second in range(100):
        track.add(second * SECOND, shifted(second))
    assert len(track) == 3
    assert track.at(97 * SECOND, 0)[0, 3] == 97
    track.add(90 * SECOND, shifted(90))
    assert len(track) == 3


def test_clear_forgets_everything(track: PoseTrack) -> None:
    track.clear()
    track.add(SECOND, shifted(1))
    assert len(track) == 1


def test_the_track_keeps_its_own_copies() -> None:
    track, T = PoseTrack(), shifted(1)
    track.add(SECOND, T)
    T[0, 3] = 5
    track.at(SECOND, 0)[0, 3] = 6
    assert track.at(SECOND, 0)[0, 3] == 1


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 10**12), poses, min_size=1, max_size=8), st.randoms(), st.integers(0, 10**12))
def test_order_of_insertion_does_not_matter(entries: dict[int, np.ndarray], random: object, moment: int) -> None:
    answers = []
    for order in (sorted(entries), random.sample(sorted(entries), len(entries))):  # type: ignore[attr-defined]
        track = PoseTrack()
        for stamp in order:
            track.add(stamp, entries[stamp])
        try:
            answers.append(track.at(moment, 10**12).tolist())
        except NoPose as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


@settings(deadline=None)
@given(poses, poses, st.integers(1, 10**10 - 1))
def test_result_lies_between_its_neighbours(T_a: np.ndarray, T_b: np.ndarray, moment: int) -> None:
    track = PoseTrack()
    track.add(0, T_a)
    track.add(10**10, T_b)
    T = track.at(moment, 10**10)
    low, high = np.minimum(T_a, T_b)[:3, 3], np.maximum(T_a, T_b)[:3, 3]
    assert (T[:3, 3] >= low - 1e-9).all() and (T[:3, 3] <= high + 1e-9).all()

    def angle(T_from: np.ndarray, T_to: np.ndarray) -> float:
        return float(Rotation.from_matrix(T_from[:3, :3].T @ T_to[:3, :3]).magnitude())

    assert angle(T_a, T) + angle(T, T_b) == pytest.approx(angle(T_a, T_b), abs=1e-6)
