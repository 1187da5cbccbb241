# SPDX-License-Identifier: Apache-2.0
"""The hash table as kernels read it, against the reference in block_index."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.block_grid import BlockGrid
from neuralfusion_ros.mapping.block_index import KEY_LIMIT, OUT_OF_RANGE, BlockIndex, pack_keys
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.table import find_keys, find_packed, insert, missing, pack

Integers = npt.NDArray[np.int64]

anywhere = st.integers(-KEY_LIMIT, KEY_LIMIT - 1)
beyond = st.integers(-(2**62), 2**62)
nearby = st.integers(-3, 3)
key = st.tuples(anywhere, anywhere, anywhere) | st.tuples(nearby, nearby, nearby) | st.tuples(nearby, beyond, nearby)


@kernel
def _pack_all(keys: Integers, packed: Integers) -> None:
    for i in range(len(keys)):
        packed[i] = pack(keys[i, 0], keys[i, 1], keys[i, 2])


def packed_by_kernel(keys: torch.Tensor) -> torch.Tensor:
    packed = torch.zeros(len(keys), dtype=torch.int64)
    _pack_all(keys.numpy(), packed.numpy())
    return packed


def home(packed: torch.Tensor, slots: int) -> torch.Tensor:
    return BlockIndex(slots=slots)._home(packed)


@settings(max_examples=200, deadline=None)
@given(st.lists(key, min_size=1))
def test_pack_equals_pack_keys(keys):
    tensor = torch.tensor(keys, dtype=torch.int64)
    assert torch.equal(packed_by_kernel(tensor), pack_keys(tensor))


def test_pack_at_the_limits():
    ends = torch.tensor([-(2**40), -KEY_LIMIT - 1, -KEY_LIMIT, -1, 0, KEY_LIMIT - 1, KEY_LIMIT, 2**31, 2**40])
    keys = torch.cartesian_prod(ends, ends, ends)
    packed = packed_by_kernel(keys)
    assert torch.equal(packed, pack_keys(keys))
    assert int((packed != OUT_OF_RANGE).sum()) == 4**3


@settings(max_examples=100, deadline=None)
@given(st.lists(key, max_size=60, unique=True), st.lists(key, max_size=20))
def test_find_equals_the_reference_in_a_table_that_grows(keys, others):
    index = BlockIndex(slots=8)  # so few slots that it grows, and that keys collide
    packed = pack_keys(torch.tensor(keys, dtype=torch.int64).reshape(-1, 3))
    packed = packed[packed != OUT_OF_RANGE]
    asked = torch.cat((packed, pack_keys(torch.tensor(others, dtype=torch.int64).reshape(-1, 3))))
    for first in range(0, len(packed), 7):
        new = packed[first : first + 7]
        index.insert(new, torch.arange(first, first + len(new)))
        assert torch.equal(find_packed(index, asked), index.find_plainly(asked))
    assert torch.equal(find_packed(index, packed), torch.arange(len(packed)))


def test_keys_with_the_same_home_are_told_apart():
    """Nine keys of one slot, the last of the table so that the search wraps around; eight of them are inserted."""
    axis = torch.arange(-20, 20)
    packed = pack_keys(torch.cartesian_prod(axis, axis, axis))
    same = packed[home(packed, 64) == 63][:9]
    assert len(same) == 9
    index = BlockIndex(slots=64)
    index.insert(same[:8], torch.arange(8))
    assert find_packed(index, same).tolist() == [*range(8), -1]


def test_a_grid_of_many_blocks():
    generator = torch.Generator().manual_seed(0)
    grid = BlockGrid(1, 0.05)
    grid.allocate(torch.randint(-30, 30, (20_000, 3), generator=generator))
    asked = pack_keys(torch.randint(-40, 40, (50_000, 3), generator=generator))
    rows = find_packed(grid.index, asked)
    assert torch.equal(rows, grid.index.find_plainly(asked))
    assert 0.01 < float((rows >= 0).float().mean()) < 0.9


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_keys_of_any_shape(dtype):
    generator = torch.Generator().manual_seed(0)
    grid = BlockGrid(1, 0.05)
    grid.allocate(torch.randint(-9, 9, (2000, 3), generator=generator))
    asked = torch.randint(-12, 12, (70, 27, 3), generator=generator).to(dtype)
    asked[3, 4] = KEY_LIMIT
    expected = grid.index.find_plainly(pack_keys(asked).reshape(-1)).reshape(70, 27)
    for keys in (asked, asked.transpose(0, 1).contiguous().transpose(0, 1), asked[:0], asked[2, 3]):
        found = find_keys(grid.index, keys)
        assert found.shape == keys.shape[:-1]
        assert torch.equal(found, grid.index.find_keys(keys))
    assert torch.equal(find_keys(grid.index, asked), expected)
    assert 0.1 < float((expected >= 0).float().mean()) < 0.9


def test_an_empty_table_has_nothing():
    asked = torch.tensor([0, 1, OUT_OF_RANGE, 2**62], dtype=torch.int64)
    assert find_packed(BlockIndex(), asked).tolist() == [-1] * 4


@settings(max_examples=50, deadline=None)
@given(st.lists(key, max_size=60, unique=True))
def test_what_one_way_to_insert_writes_both_ways_to_find_read(keys):
    packed = pack_keys(torch.tensor(keys, dtype=torch.int64).reshape(-1, 3))
    packed = packed[packed != OUT_OF_RANGE].unique()
    rows = torch.arange(len(packed))
    compiled, plain = BlockIndex(slots=256), BlockIndex(slots=256)
    insert(compiled, packed, rows)
    plain.insert_plainly(packed, rows)
    for index in (compiled, plain):
        assert torch.equal(find_packed(index, packed), rows)
        assert torch.equal(index.find_plainly(packed), rows)


@settings(max_examples=100, deadline=None)
@given(st.lists(key, max_size=60), st.lists(key, max_size=60))
def test_what_is_missing_is_found_once(known, asked):
    index = BlockIndex(slots=256)
    present = pack_keys(torch.tensor(known, dtype=torch.int64).reshape(-1, 3)).unique()
    present = present[present != OUT_OF_RANGE]
    index.insert(present, torch.arange(len(present)))
    keys = torch.tensor(asked + known[::2] + asked[::3], dtype=torch.int64).reshape(-1, 3)
    assert torch.equal(missing(index, keys), index.missing_plainly(keys))
