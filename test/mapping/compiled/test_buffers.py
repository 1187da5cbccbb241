# SPDX-License-Identifier: Apache-2.0
"""Arrays that serve every frame."""

from neuralfusion_ros.mapping.compiled.buffers import Buffers


def test_an_array_is_used_again_as_long_as_it_is_large_enough():
    buffers = Buffers()
    first = buffers.array("a", 4, 5)
    first[:] = 7
    again = buffers.array("a", 3, 2, 3)
    assert again.shape == (3, 2, 3)
    assert (again == 7).all()
    larger = buffers.array("a", 21)
    assert larger.size == 21
    larger[:] = 8
    assert (first == 7).all()
    assert (buffers.array("a", 4, 5) == 8).all()


def test_names_do_not_share():
    buffers = Buffers()
    one, other = buffers.array("one", 3), buffers.array("other", 3)
    one[:], other[:] = 1, 2
    assert one.tolist() == [1, 1, 1]


def test_an_array_may_be_empty():
    assert Buffers().array("a", 0, 8).shape == (0, 8)
