# SPDX-License-Identifier: Apache-2.0
"""Half precision in kernels against numpy's float16, every bit of it."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.compiled.half import move_towards, to_float, to_half
from neuralfusion_ros.mapping.compiled.jit import kernel

Halves = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]


@kernel
def _decode(bits: Halves, numbers: Floats) -> None:
    for i in range(len(bits)):
        numbers[i] = to_float(bits[i])


@kernel
def _encode(numbers: Floats, bits: Halves) -> None:
    for i in range(len(numbers)):
        bits[i] = to_half(numbers[i])


@kernel
def _move(halves: Halves, numbers: Floats, gain: np.float32, places: tuple[int, ...]) -> None:
    move_towards(halves.ctypes.data, numbers.ctypes.data, gain, places)


def decoded(bits: Halves) -> Floats:
    numbers = np.empty(len(bits), np.float32)
    _decode(bits, numbers)
    return numbers


def encoded(numbers: Floats) -> Halves:
    bits = np.empty(len(numbers), np.uint16)
    _encode(numbers, bits)
    return bits


def assert_encoded_as_numpy_does(numbers: Floats) -> None:
    with np.errstate(over="ignore"):
        expected = numbers.astype(np.float16)
    bits, nan = encoded(numbers), np.isnan(numbers)
    np.testing.assert_array_equal(bits[~nan], expected[~nan].view(np.uint16))
    assert np.isnan(bits[nan].view(np.float16)).all()


EVERY_HALF = np.arange(1 << 16).astype(np.uint16)


def test_every_half_is_decoded():
    expected = EVERY_HALF.view(np.float16).astype(np.float32)
    numbers, nan = decoded(EVERY_HALF), np.isnan(expected)
    np.testing.assert_array_equal(numbers[~nan].view(np.uint32), expected[~nan].view(np.uint32))  # -0 is not 0
    assert np.isnan(numbers[nan]).all()


def test_every_half_survives_the_round_trip():
    number = ~np.isnan(EVERY_HALF.view(np.float16))
    np.testing.assert_array_equal(encoded(decoded(EVERY_HALF))[number], EVERY_HALF[number])


def test_ties_go_to_the_even_half_and_their_neighbours_to_the_nearest():
    """Between every two neighbours: the middle, and the single precision numbers beside it. With subnormals."""
    positive = np.arange(0x7BFF, dtype=np.uint16)
    low, high = positive.view(np.float16).astype(np.float32), (positive + 1).view(np.float16).astype(np.float32)
    middle: Floats = (low + high) * np.float32(0.5)
    np.testing.assert_array_equal(encoded(middle), positive + positive % 2)
    np.testing.assert_array_equal(encoded(np.nextafter(middle, np.float32(-np.inf))), positive)
    np.testing.assert_array_equal(encoded(np.nextafter(middle, np.float32(np.inf))), positive + 1)


def test_edges():
    sizes = [0, 2**-149, 2**-126, 2**-25, 2**-24, 2**-15, 2**-14, 1, 1 / 3, 2047, 2049, 65504, 65519.996, 65520, 65521]
    edges = np.array([*sizes, 3.4e38, np.inf, np.nan], np.float32)
    assert_encoded_as_numpy_does(np.concatenate((edges, -edges)))


def test_overflow_becomes_infinity():
    np.testing.assert_array_equal(encoded(np.array([65520, -65520, 1e30], np.float32)), [0x7C00, 0xFC00, 0x7C00])


def test_any_bits_of_single_precision():
    bits = np.random.default_rng(0).integers(1 << 32, size=1_000_000, dtype=np.uint64).astype(np.uint32)
    assert_encoded_as_numpy_does(bits.view(np.float32))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1))
def test_encoding_equals_numpys(numbers):
    assert_encoded_as_numpy_does(np.array(numbers, np.float32))


@pytest.mark.parametrize("n", [0, 1, 3, 4, 8, 12, 16])
def test_several_at_once_move_as_one_by_one(n):
    rng = np.random.default_rng(n)
    for gain in (0.0, 1.0, *rng.random(50).astype(np.float32)):
        before = (8 * rng.standard_normal(n + 1)).astype(np.float16)
        numbers = (8 * rng.standard_normal(n + 1)).astype(np.float32)
        old, after = before.astype(np.float32), before.copy()
        expected = (old + np.float32(gain) * (numbers - old)).astype(np.float16)
        _move(after.view(np.uint16), numbers, np.float32(gain), tuple(range(n)))
        np.testing.assert_array_equal(after[:n], expected[:n])
        assert after[n] == before[n], "nothing beyond the places is written"
