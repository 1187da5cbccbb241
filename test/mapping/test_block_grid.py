# SPDX-License-Identifier: Apache-2.0
"""The sparse grid: stable rows, a byte cap that holds, growth without loss, little memory per voxel."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS, BlockGrid, voxel_offsets
from neuralfusion_ros.mapping.block_index import KEY_LIMIT

BLOCK_BYTES = BLOCK_VOXELS * 2 * 2  # two channels of half precision


def line(first: int, count: int) -> torch.Tensor:
    """(count, 3) blocks side by side along x."""
    return torch.stack((torch.arange(first, first + count), torch.full((count,), -2), torch.full((count,), 5)), dim=-1)


def number_blocks(grid: BlockGrid) -> None:
    """Writes its own x coordinate into every block."""
    grid.values[:] = grid.keys[:, 0, None, None].to(grid.values.dtype)


def test_new_blocks_hold_zeros_and_are_found():
    grid = BlockGrid(3, 0.05)
    assert grid.allocate(line(-3, 6)) == 0
    rows = grid.find(line(-3, 6))
    assert sorted(rows.tolist()) == list(range(6))
    assert torch.equal(grid.keys[rows].long(), line(-3, 6))
    assert grid.values.shape == (6, BLOCK_VOXELS, 3)
    assert not grid.values.any()
    assert grid.find(line(3, 2)).tolist() == [-1, -1]


def test_find_keeps_the_shape_of_the_question():
    grid = BlockGrid(1, 0.05)
    grid.allocate(line(0, 4))
    assert torch.equal(grid.find(line(0, 4).reshape(2, 2, 3)), grid.find(line(0, 4)).reshape(2, 2))
    assert grid.find(torch.zeros((0, 3), dtype=torch.int64)).shape == (0,)


def test_allocate_twice_changes_nothing():
    grid = BlockGrid(2, 0.05)
    keys = line(0, 5)
    grid.allocate(keys)
    number_blocks(grid)
    before, nbytes = grid.values.clone(), grid.nbytes
    assert grid.allocate(torch.cat((keys, keys.flip(0), keys[:1]))) == 0
    assert grid.n_blocks == 5
    assert torch.equal(grid.values, before)
    assert grid.nbytes == nbytes


def test_repeated_new_keys_make_one_block_each():
    grid = BlockGrid(2, 0.05)
    assert grid.allocate(line(0, 3).repeat(4, 1)) == 0
    assert grid.n_blocks == 3


def test_blocks_and_rows_survive_growth():
    grid = BlockGrid(2, 0.05)
    grid.allocate(line(0, 50))
    number_blocks(grid)
    keys, rows, values = grid.keys.clone(), grid.find(line(0, 50)), grid.values.clone()
    for first in range(50, 1500, 90):
        grid.allocate(line(first, 90))
    assert torch.equal(grid.keys[:50], keys)
    assert torch.equal(grid.find(line(0, 50)), rows)
    assert torch.equal(grid.values[:50], values)
    assert not grid.values[50:].any()


def test_byte_cap_refuses_and_counts_what_does_not_fit():
    grid = BlockGrid(2, 0.05, max_bytes=10 * BLOCK_BYTES)
    assert grid.allocate(line(0, 8)) == 0
    assert grid.allocate(line(4, 10)) == 4  # 4 known, 2 fit, 4 do not
    assert grid.n_blocks == 10
    assert (grid.find(line(0, 8)) >= 0).all()
    assert int((grid.find(line(4, 10)) < 0).sum()) == 4
    assert grid.allocate(line(4, 10)) == 4
    assert grid.allocate(line(0, 8)) == 0
    assert grid.values.nbytes == 10 * BLOCK_BYTES


@pytest.mark.parametrize("max_blocks", [1, 300, 517])
def test_memory_never_passes_the_cap_by_more_than_the_index(max_blocks):
    grid = BlockGrid(12, 0.05, max_bytes=max_blocks * BLOCK_VOXELS * 24)
    for first in range(0, 700, 70):
        grid.allocate(line(first, 70))
        assert grid.nbytes <= max_blocks * (BLOCK_VOXELS * 24 + 12 + 4) + 16 * 4096
    assert grid.n_blocks == max_blocks


def test_blocks_out_of_range_are_refused_and_count_as_one():
    grid = BlockGrid(1, 0.05)
    far = torch.tensor([[KEY_LIMIT, 0, 0], [0, -KEY_LIMIT - 5, 0], [0, 0, 1 << 40]])
    assert grid.allocate(torch.cat((far, line(0, 2)))) == 1
    assert grid.n_blocks == 2
    limit = torch.tensor([[KEY_LIMIT - 1, 1 - KEY_LIMIT, KEY_LIMIT - 1]])
    assert grid.allocate(limit) == 0
    assert torch.equal(grid.keys[2:].long(), limit)


def test_the_smallest_integer_is_out_of_range():
    # What the conversion of infinity to an integer gives; its absolute value does not exist.
    grid = BlockGrid(1, 0.05)
    assert grid.allocate(torch.full((1, 3), torch.iinfo(torch.int64).min)) == 1
    assert grid.n_blocks == 0


def test_out_of_range_blocks_are_not_found_under_another_name():
    grid = BlockGrid(1, 0.05)
    grid.allocate(torch.tensor([[0, 1, 0], [1, 0, 0], [0, 1, 1 - KEY_LIMIT]]))
    around_the_world = torch.tensor([[0, 0, 2 * KEY_LIMIT], [0, 2 * KEY_LIMIT, 0], [0, 0, KEY_LIMIT + 1]])
    assert grid.find(around_the_world).tolist() == [-1, -1, -1]


def test_set_blocks_allocates_overwrites_and_reports_refusals():
    grid = BlockGrid(2, 0.05, max_bytes=4 * BLOCK_BYTES)
    assert grid.set_blocks(line(0, 2), torch.full((2, BLOCK_VOXELS, 2), 3.0)) == 0
    values = torch.arange(4.0)[:, None, None].expand(4, BLOCK_VOXELS, 2)
    assert grid.set_blocks(line(1, 4), values) == 1
    assert grid.n_blocks == 4
    kept = grid.find(line(1, 4)) >= 0
    assert torch.equal(grid.values[grid.find(line(1, 4))[kept]].float(), values[kept])
    assert (grid.values[grid.find(line(0, 1))] == 3).all()


def test_a_machine_without_memory_makes_a_full_map_that_lives_on():
    """In a process of its own that may take 300 MB more than it has when it begins."""
    script = """
import resource
import torch
from neuralfusion_ros.mapping.block_grid import BlockGrid

grid = BlockGrid(12, 0.05, max_bytes=8 << 30)
grid.allocate(torch.zeros((1, 3), dtype=torch.int64))  # what is imported late is imported now
grid.clear()
taken = 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
resource.setrlimit(resource.RLIMIT_AS, (taken + (300 << 20), resource.RLIM_INFINITY))
refused = 0
for first in range(0, 100_000, 1000):
    keys = torch.stack([torch.arange(first, first + 1000)] + [torch.zeros(1000, dtype=torch.int64)] * 2, dim=-1)
    refused = grid.allocate(keys)
    grid.values[grid.find(keys).clamp(min=0)] = 1.0
    if refused:
        break
assert 2000 < grid.n_blocks == grid.max_blocks < 30_000, grid.n_blocks
assert float(grid.values[::7].float().min()) == 1
grid.remove(torch.arange(1000))
assert grid.allocate(keys) == max(0, refused - 1000)
assert (grid.find(keys)[:1000 - max(0, refused - 1000)] >= 0).all()
grid.clear()
assert grid.max_blocks == (8 << 30) // (512 * 12 * 2)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_clear_gives_the_memory_back_and_keeps_the_settings():
    grid = BlockGrid(2, 0.05, dtype=torch.float32, max_bytes=5000 * BLOCK_BYTES)
    fresh, cap = grid.nbytes, grid.max_blocks
    grid.allocate(line(0, 2000))
    grid.clear()
    assert grid.nbytes == fresh
    assert (grid.n_blocks, grid.max_blocks, grid.channels, grid.voxel_size_m) == (0, cap, 2, 0.05)
    assert grid.values.dtype == torch.float32
    assert (grid.find(line(0, 10)) == -1).all()
    grid.allocate(line(7, 3))
    assert sorted(grid.find(line(7, 3)).tolist()) == [0, 1, 2]


def test_memory_per_voxel_of_a_growing_map():
    grid = BlockGrid(12, 0.02)
    generator = torch.Generator().manual_seed(1)
    while grid.n_blocks < 3000:
        count = int(torch.randint(60, 140, (1,), generator=generator))
        grid.allocate(line(grid.n_blocks, count))
        if grid.n_blocks >= 1024:  # a smaller map has a table of the least size
            assert grid.nbytes / (grid.n_blocks * BLOCK_VOXELS) <= 24.2


def test_a_pool_stays_where_it_is_and_takes_no_memory_before_it_is_written_to():
    grid = BlockGrid(12, 0.02, max_bytes=1 << 30)
    before = resident_bytes()
    grid.allocate(line(0, 10))
    place = grid.values.data_ptr()
    for first in range(10, 4000, 190):
        grid.allocate(line(first, 190))
        grid.values[first:] = 1.0
    assert grid.values.data_ptr() == place
    taken = resident_bytes() - before
    assert 0.9 * grid.nbytes < taken < 1.3 * grid.nbytes


def resident_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def test_geometry_of_blocks_and_voxels():
    grid = BlockGrid(1, 0.05)
    assert grid.block_size_m == pytest.approx(0.4)
    offsets = voxel_offsets()
    number = (offsets[:, 0] * 8 + offsets[:, 1]) * 8 + offsets[:, 2]
    assert torch.equal(number, torch.arange(BLOCK_VOXELS))
    assert offsets.min() == 0
    assert offsets.max() == 7


@pytest.mark.parametrize("size", [0.0, -0.1])
def test_voxel_size_must_be_positive(size):
    with pytest.raises(ValueError, match="voxel size"):
        BlockGrid(1, size)


@pytest.mark.parametrize("gone", [[], [0], [29], [0, 1, 2], [5, 29, 17, 28], list(range(30))])
def test_removed_blocks_are_gone_and_the_others_stay(gone):
    grid = BlockGrid(2, 0.05)
    keys = line(0, 30)
    grid.set_blocks(keys, torch.arange(30.0)[:, None, None].expand(30, BLOCK_VOXELS, 2))
    grid.stamps[:] = torch.arange(30, dtype=torch.int32)
    grid.remove(grid.find(keys[gone]))
    left = [number for number in range(30) if number not in gone]
    rows = grid.find(keys)
    assert (rows[gone] < 0).all()
    assert sorted(rows[left].tolist()) == list(range(len(left))) == list(range(grid.n_blocks))
    assert torch.equal(grid.keys[rows[left]].long(), keys[left].long())
    assert grid.values[rows[left], 7, 1].tolist() == left
    assert grid.stamps[rows[left]].tolist() == left


def test_blocks_that_come_back_are_empty_and_found_in_their_region():
    grid = BlockGrid(2, 0.05)
    grid.set_blocks(line(0, 40), torch.ones(40, BLOCK_VOXELS, 2))
    grid.stamps[:] = 5
    grid.remove(grid.find(line(10, 10)))
    grid.allocate(line(0, 40))
    back = grid.find(line(10, 10))
    assert not grid.values[back].any()
    assert not grid.stamps[back].any()
    everywhere = grid.regions.rows(torch.arange(len(grid.regions.keys)))
    assert sorted(everywhere.tolist()) == list(range(40))
