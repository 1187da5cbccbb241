# SPDX-License-Identifier: Apache-2.0
"""The hash table of blocks against a Python dict."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfusion_ros.mapping.block_index import KEY_LIMIT, BlockIndex, pack_keys, unpack_keys

anywhere = st.integers(-KEY_LIMIT, KEY_LIMIT - 1)
nearby = st.integers(-3, 3)
key = st.tuples(anywhere, anywhere, anywhere) | st.tuples(nearby, nearby, nearby)


def packed(keys: list[tuple[int, int, int]]) -> torch.Tensor:
    return pack_keys(torch.tensor(keys, dtype=torch.int64).reshape(-1, 3))


@settings(deadline=None)
@given(st.lists(key))
def test_unpack_inverts_pack(keys):
    tensor = torch.tensor(keys, dtype=torch.int64).reshape(-1, 3)
    assert torch.equal(unpack_keys(pack_keys(tensor)).long(), tensor)


def test_limits_pack_to_distinct_non_negative_numbers():
    ends = torch.tensor([-KEY_LIMIT, -KEY_LIMIT + 1, -1, 0, 1, KEY_LIMIT - 2, KEY_LIMIT - 1])
    keys = torch.cartesian_prod(ends, ends, ends)
    numbers = pack_keys(keys)
    assert len(numbers.unique()) == len(keys)
    assert int(numbers.min()) >= 0  # negative numbers mark free slots
    assert torch.equal(unpack_keys(numbers).long(), keys)
    assert torch.equal(pack_keys(keys.int()), numbers)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 3))
def test_keys_out_of_range_equal_no_block(wide):
    number = int(packed([wide]))
    inside = all(-KEY_LIMIT <= coordinate < KEY_LIMIT for coordinate in wide)
    if inside:
        assert unpack_keys(torch.tensor([number])).tolist() == [list(wide)]
    index = BlockIndex()
    neighbours = torch.cartesian_prod(*[torch.tensor([-KEY_LIMIT, 0, 1, KEY_LIMIT - 1])] * 3)
    index.insert(pack_keys(neighbours), torch.arange(64))
    assert (int(index.find(packed([wide]))) >= 0) == (list(wide) in neighbours.tolist())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(key, max_size=30), max_size=6), st.lists(key, max_size=10))
def test_behaves_like_a_dict(batches, others):
    index, rows = BlockIndex(slots=8), dict[tuple[int, int, int], int]()  # so few slots that it grows
    for batch in batches:
        new = [k for k in dict.fromkeys(batch) if k not in rows]
        first = len(rows)
        rows.update({k: first + i for i, k in enumerate(new)})
        index.insert(packed(new), torch.arange(first, first + len(new)))
        asked = [*rows, *others, *batch]
        assert index.find(packed(asked)).tolist() == [rows.get(k, -1) for k in asked]
        assert len(index) == len(rows)


def test_a_dense_cube_of_blocks_survives_many_growths():
    axis = torch.arange(-12, 12)
    keys = pack_keys(torch.cartesian_prod(axis, axis, axis))
    keys = keys[torch.randperm(len(keys), generator=torch.Generator().manual_seed(0))]
    index = BlockIndex(slots=16)
    for first in range(0, len(keys), 1000):
        index.insert(keys[first : first + 1000], torch.arange(first, min(first + 1000, len(keys))))
    assert torch.equal(index.find(keys), torch.arange(len(keys)))
    shell = torch.cartesian_prod(*[torch.arange(-14, 14)] * 3)
    shell = shell[((shell < -12) | (shell >= 12)).any(-1)]
    assert (index.find(pack_keys(shell)) == -1).all()


def test_table_stays_in_proportion_to_its_keys():
    index = BlockIndex(slots=16)
    count = 5000
    index.insert(
        pack_keys(torch.cartesian_prod(torch.arange(count), torch.zeros(1).long(), torch.zeros(1).long())),
        torch.arange(count),
    )
    assert 2 * count * 16 <= index.nbytes <= 4 * count * 16 + 16


def test_empty_questions_and_inserts():
    index = BlockIndex()
    nothing = torch.zeros(0, dtype=torch.int64)
    index.insert(nothing, nothing)
    assert len(index) == 0
    assert index.find(nothing).shape == (0,)
    assert index.find(packed([(0, 0, 0)])).tolist() == [-1]
