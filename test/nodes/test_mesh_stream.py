# SPDX-License-Identifier: Apache-2.0
"""Marker messages: ids, deletions, sizes; colours that show the shape."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from neuralfusion_ros.mapping.meshing import EMPTY_MESH, Mesh
from neuralfusion_ros.messages.markers import ADD, DELETE, DELETE_ALL, read_marker_array, stamp_of_markers
from neuralfusion_ros.messages.mesh_colours import PERIOD_M, SHAPE_COLOURS, mesh_colours
from neuralfusion_ros.nodes.mesh_stream import MAX_MESSAGE_BYTES, MeshStream


def triangle(height_m=0.0):
    vertices = np.array([[0, 0, height_m], [1, 0, height_m], [0, 1, height_m]], np.float32)
    return Mesh(vertices, np.array([[0, 1, 2]], np.int32))


def markers_of(stream, paint=mesh_colours):
    messages = list(stream.take("odom", 7, paint))
    return [marker for message in messages for marker in read_marker_array(message)]


def test_a_chunk_keeps_its_id_and_is_deleted_when_it_is_empty():
    stream = MeshStream()
    stream.add({(0, 0, 0): triangle(), (1, 0, 0): triangle()})
    first = markers_of(stream)
    stream.add({(1, 0, 0): triangle(1.0), (0, 0, 0): EMPTY_MESH})
    second = markers_of(stream)
    assert [(marker.id, marker.action) for marker in first] == [(0, ADD), (1, ADD)]
    assert [(marker.id, marker.action) for marker in second] == [(1, ADD), (0, DELETE)]
    assert not stream.has_work and markers_of(stream) == []


def test_of_several_changes_only_the_last_is_sent():
    stream = MeshStream()
    stream.add({(0, 0, 0): triangle(1.0)})
    stream.add({(0, 0, 0): triangle(2.0)})
    (marker,) = markers_of(stream)
    assert (marker.points[:, 2] == 2.0).all()


def test_a_new_map_deletes_everything_first():
    stream = MeshStream()
    stream.add({(0, 0, 0): triangle()})
    markers_of(stream)
    stream.start_new_map()
    stream.add({(5, 5, 5): triangle()})
    assert [(marker.id, marker.action) for marker in markers_of(stream)] == [(0, DELETE_ALL), (0, ADD)]


def test_large_meshes_are_split():
    many = 30_000
    large = Mesh(triangle().vertices, np.tile(triangle().triangles, (many, 1)))
    stream = MeshStream()
    stream.start_new_map()
    stream.add({(number, 0, 0): large for number in range(5)})
    messages = list(stream.take("odom", 7))
    assert all(len(message) <= MAX_MESSAGE_BYTES for message in messages)
    actions = [[marker.action for marker in read_marker_array(message)] for message in messages]
    assert actions == [[DELETE_ALL, ADD, ADD], [ADD, ADD], [ADD]]


def test_colours_show_height_and_slope_and_stay_in_range():
    up, higher, down = triangle(0.1), triangle(1.1), triangle(0.1)
    down = Mesh(down.vertices, down.triangles[:, ::-1])
    colours = [mesh_colours(mesh)[0] for mesh in (up, higher, down)]
    assert np.abs(colours[0] - colours[1]).max() > 0.1
    assert colours[0].sum() > 1.3 * colours[2].sum()
    assert all((colour >= 0).all() and (colour <= 1).all() for colour in colours)
    assert mesh_colours(triangle(0.1 + PERIOD_M))[0] == pytest.approx(colours[0], abs=1e-5)


@pytest.mark.parametrize("choice", SHAPE_COLOURS)
def test_every_colour_of_the_shape_shows_the_slope(choice):
    up, higher = triangle(0.1), triangle(1.1)
    down = Mesh(up.vertices, up.triangles[:, ::-1])
    stream = MeshStream()
    stream.add({(0, 0, 0): up, (1, 0, 0): down, (2, 0, 0): higher})
    colours = [marker.colours[0, :3] for marker in markers_of(stream, partial(mesh_colours, choice=choice))]
    assert colours[0].sum() > 1.3 * colours[1].sum()
    assert (np.abs(colours[0] - colours[2]).max() > 0.1) == (choice == "height")


def test_only_the_last_of_several_messages_shows_all_of_the_newest_image():
    large = Mesh(triangle().vertices, np.tile(triangle().triangles, (50_000, 1)))
    stream = MeshStream()
    stream.start_new_map()
    for stamp_ns, expected in ((7, [0, 0, 7]), (9, [7, 7, 9])):
        stream.add({(number, 0, 0): large for number in range(3)})
        assert [stamp_of_markers(message) for message in stream.take("odom", stamp_ns)] == expected
