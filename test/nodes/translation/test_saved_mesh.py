# SPDX-License-Identifier: Apache-2.0
"""The translator's mesh as a file."""

from __future__ import annotations

import pytest

from neuralfusion_ros.mapping.mesh_file import read_mesh


def test_saving_writes_the_whole_mesh_even_if_nobody_looks(make, room, tmp_path):
    the = make(viewers=0)
    the.hand_in(room.messages(0, 1))
    path = tmp_path / "room.ply"
    answer = the.work.save_mesh(path).result(timeout=60)
    triangles = len(read_mesh(path).triangles)
    assert answer == f"Wrote {triangles} triangles to {path}."
    assert abs(triangles - len(room.mesh().triangles)) <= 0.01 * triangles
    assert [file.name for file in tmp_path.iterdir()] == ["room.ply"]


def test_viewers_miss_nothing_when_the_mesh_is_saved(make, room, tmp_path, wait_until):
    the = make()
    the.hand_in(room.messages(0, 1))
    the.work.save_mesh(tmp_path / "room.ply").result(timeout=60)
    wait_until(lambda: the.settled(room.sender.sequence - 1))
    assert the.shown_triangles() == pytest.approx(len(room.mesh().triangles), rel=0.01)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("room.obj", "must end in .ply"), ("a/b/room.ply", "folder .*/a/b cannot be made"), ("room.ply", "no map")],
)
def test_what_cannot_be_saved_is_told(make, tmp_path, name, problem):
    the = make()
    (tmp_path / "a").touch()
    with pytest.raises(Exception, match=problem):
        the.work.save_mesh(tmp_path / name).result(timeout=60)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
