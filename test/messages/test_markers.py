# SPDX-License-Identifier: Apache-2.0
"""Mesh chunks as marker bytes, against markers made by rclpy."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import Point
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray, UVCoordinate

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.messages.line_markers import FRUSTUM_DEPTH_M, CameraTrack, camera_markers_bytes
from neuralfusion_ros.messages.markers import ChunkMesh, marker_array_bytes, read_marker_array
from neuralfusion_ros.messages.stamps import ns_to_stamp

STAMP_NS = 1_234_567_890_123_456_789


def make_chunk(number, n_vertices=5, n_triangles=7, dtype=np.float32):
    rng = np.random.default_rng(abs(number))
    return ChunkMesh(
        number,
        rng.normal(size=(n_vertices, 3)).astype(dtype),
        rng.integers(0, n_vertices, size=(n_triangles, 3)),
        rng.random((n_vertices, 3)).astype(dtype),
    )


def make_marker(frame_id, number, action, chunk=None):
    """The marker that a node without this package would build."""
    marker = Marker(ns="mesh", id=number, type=Marker.TRIANGLE_LIST, action=action)
    marker.header.frame_id, marker.header.stamp = frame_id, ns_to_stamp(STAMP_NS)
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    if chunk is not None:
        for corner in chunk.triangles.reshape(-1):
            x, y, z = (float(value) for value in chunk.vertices[corner])
            r, g, b = (float(value) for value in chunk.colours[corner])
            marker.points.append(Point(x=x, y=y, z=z))
            marker.colors.append(ColorRGBA(r=r, g=g, b=b, a=1.0))
    return marker


@pytest.mark.parametrize("frame_id", ["", "a", "map", "odom", "world", "camera", "robot_1", "building"])
def test_bytes_are_those_of_rclpy(assert_like_rclpy, frame_id):
    chunks = [make_chunk(3), make_chunk(-(2**31), dtype=np.float64), make_chunk(2**31 - 1, 3, 1)]
    markers = [make_marker(frame_id, 0, Marker.DELETEALL)]
    markers += [make_marker(frame_id, number, Marker.DELETE) for number in (8, -9)]
    markers += [make_marker(frame_id, chunk.id, Marker.ADD, chunk) for chunk in chunks]
    assert_like_rclpy(
        lambda: marker_array_bytes(frame_id, STAMP_NS, chunks, deleted_ids=(8, -9), delete_all=True),
        MarkerArray(markers=markers),
    )


def test_an_array_without_markers(assert_like_rclpy):
    assert_like_rclpy(lambda: marker_array_bytes("map", STAMP_NS), MarkerArray())


def test_rclpy_reads_the_bytes():
    chunk = make_chunk(4)
    message = deserialize_message(marker_array_bytes("map", STAMP_NS, [chunk], [5]), MarkerArray)
    assert message.markers == [make_marker("map", 5, Marker.DELETE), make_marker("map", 4, Marker.ADD, chunk)]


def test_a_chunk_without_triangles_is_deleted():
    empty = make_chunk(6, n_triangles=0)
    assert marker_array_bytes("map", 0, [empty]) == marker_array_bytes("map", 0, deleted_ids=[6])


def test_reader_gives_back_the_chunks():
    chunks = [make_chunk(1), make_chunk(2)]
    deleted, *added = read_marker_array(marker_array_bytes("map", STAMP_NS, chunks, [7]))
    assert (deleted.ns, deleted.id, deleted.action, len(deleted.points)) == ("mesh", 7, Marker.DELETE, 0)
    for marker, chunk in zip(added, chunks, strict=True):
        corners = chunk.triangles.reshape(-1)
        assert (marker.ns, marker.id, marker.action) == ("mesh", chunk.id, Marker.ADD)
        assert marker.points.flags.aligned and marker.colours.flags.aligned
        np.testing.assert_array_equal(marker.points, chunk.vertices[corners].astype(np.float64))
        np.testing.assert_array_equal(marker.colours[:, :3], chunk.colours[corners])
        assert (marker.colours[:, 3] == 1).all()


def test_reader_skips_the_fields_of_other_senders():
    rich = Marker(ns="text", id=1, type=Marker.TEXT_VIEW_FACING, text="hello", texture_resource="embedded://t")
    rich.texture.header.frame_id, rich.texture.format = "f", "png"
    rich.texture.data = [1, 2, 3]
    rich.uv_coordinates = [UVCoordinate(u=0.5, v=0.25)]
    rich.mesh_resource, rich.mesh_file.filename, rich.mesh_file.data = "package://m", "m.stl", [4, 5, 6, 7, 8]
    plain = make_marker("map", 2, Marker.ADD, make_chunk(2))
    markers = read_marker_array(serialize_message(MarkerArray(markers=[rich, plain, rich])))
    assert [(marker.ns, marker.id, len(marker.points)) for marker in markers] == [
        ("text", 1, 0),
        ("mesh", 2, 21),
        ("text", 1, 0),
    ]


@given(st.data())
def test_damaged_bytes_are_read_or_refused(data):
    message = bytearray(marker_array_bytes("map", STAMP_NS, [make_chunk(1, 3, 1)], [5]))
    for _ in range(data.draw(st.integers(0, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    message = message[: data.draw(st.integers(0, len(message)))]
    try:
        markers = read_marker_array(bytes(message))
    except BadMessage:
        return
    assert all(marker.points.shape[1] == 3 and marker.colours.shape[1] == 4 for marker in markers)


def test_a_huge_count_in_a_small_message_is_refused():
    message = bytearray(marker_array_bytes("map", STAMP_NS, [make_chunk(1, 3, 1)]))
    message[4:8] = b"\xff\xff\xff\xff"
    with pytest.raises(BadMessage) as caught:
        read_marker_array(bytes(message))
    assert caught.value.reason == "truncated"


def test_a_camera_becomes_a_frustum_and_a_path():
    camera, T = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5), np.eye(4)
    T[:3, 3] = [1, 2, 3]
    path = np.array([[0.0, 0, 0], [1, 2, 3]])
    data = camera_markers_bytes("map", STAMP_NS, [CameraTrack(0, camera, T, path), CameraTrack(1, camera, T, path[:1])])
    message = deserialize_message(data, MarkerArray)
    assert [(m.ns, m.id, m.type, m.action) for m in message.markers] == [
        ("frustum", 0, Marker.LINE_LIST, Marker.ADD),
        ("path", 0, Marker.LINE_STRIP, Marker.ADD),
        ("frustum", 1, Marker.LINE_LIST, Marker.ADD),
        ("path", 1, Marker.LINE_STRIP, Marker.DELETE),
    ]
    frustum, way = message.markers[:2]
    corners = {(round(p.x - 1, 6), round(p.y - 2, 6), round(p.z - 3, 6)) for p in frustum.points}
    reach = FRUSTUM_DEPTH_M
    expected = {(0, 0, 0)} | {(x * 0.64 * reach, y * 0.48 * reach, reach) for x in (-1, 1) for y in (-1, 1)}
    assert corners == {tuple(round(value, 6) for value in corner) for corner in expected}
    assert [(p.x, p.y, p.z) for p in way.points] == [(0, 0, 0), (1, 2, 3)]
    assert way.scale.x > 0 and way.color.a == 1 and not way.colors
