# SPDX-License-Identifier: Apache-2.0
"""Meshes as files, whole and damaged."""

import os
import resource
import shutil
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest

from neuralfusion_ros.mapping.mesh_file import MeshFileError, read_coloured_mesh, read_mesh, write_mesh
from neuralfusion_ros.mapping.mesh_up import note_up, noted_up
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.new_file import NotWritable


@pytest.fixture
def cube() -> o3d.geometry.TriangleMesh:
    return o3d.geometry.TriangleMesh.create_box()


@pytest.fixture
def binary(tmp_path, cube) -> Path:
    o3d.io.write_triangle_mesh(str(tmp_path / "binary.ply"), cube)
    return tmp_path / "binary.ply"


@pytest.fixture
def text(tmp_path, cube) -> Path:
    o3d.io.write_triangle_mesh(str(tmp_path / "text.ply"), cube, write_ascii=True)
    return tmp_path / "text.ply"


def test_what_was_written_is_read(tmp_path):
    mesh = Mesh(np.random.default_rng(0).random((9, 3), np.float32), np.arange(9, dtype=np.int32).reshape(3, 3))
    write_mesh(tmp_path / "mesh.ply", mesh)
    found, colours = read_coloured_mesh(tmp_path / "mesh.ply")
    np.testing.assert_array_equal(found.vertices, mesh.vertices)
    np.testing.assert_array_equal(found.triangles, mesh.triangles)
    assert colours is None


@pytest.mark.parametrize("file", ["binary", "text"])
def test_a_note_which_way_is_up_changes_nothing_else(request, file):
    path = request.getfixturevalue(file)
    before = read_mesh(path)
    assert noted_up(path) is None
    note_up(path, (0.0, -3.0, 4.0))
    assert noted_up(path) == (0.0, -0.6, 0.8)
    np.testing.assert_array_equal(read_mesh(path).vertices, before.vertices)
    np.testing.assert_array_equal(read_mesh(path).triangles, before.triangles)


@pytest.mark.parametrize("note", ["comment up", "comment up y", "comment up 0.0 0.0 0.0", "comment up 1e999 0.0 1.0"])
def test_a_note_that_tells_nothing_is_passed_over(text, note):
    text.write_text(text.read_text().replace("ply\n", f"ply\n{note}\n", 1))
    assert noted_up(text) is None


@pytest.fixture
def large() -> Mesh:
    return Mesh(np.zeros((300, 3), np.float32), np.arange(300, dtype=np.int32).reshape(100, 3))


@pytest.mark.parametrize("missing_bytes", [1, 2000])
def test_half_a_mesh_is_an_error(tmp_path, large, missing_bytes):
    write_mesh(tmp_path / "whole.ply", large)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "whole.ply").stat().st_size - missing_bytes, limits[1]))
    try:
        with pytest.raises(NotWritable, match=r"half\.ply cannot be written as a whole"):
            write_mesh(tmp_path / "half.ply", large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.ply"]


def test_a_disk_that_is_full_is_told_in_one_line(tmp_path, large, monkeypatch, capfd):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(NotWritable, match=r"mesh\.ply cannot be written: the disk is full, it needs 0\.0 MB"):
        write_mesh(tmp_path / "mesh.ply", large)
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl"])
def test_formats(tmp_path, cube, suffix):
    cube.compute_triangle_normals()
    o3d.io.write_triangle_mesh(str(tmp_path / f"cube{suffix}"), cube, write_triangle_uvs=False)
    mesh = read_mesh(tmp_path / f"cube{suffix}")
    assert len(mesh.triangles) == 12
    assert mesh.vertices.dtype == np.float32 and mesh.triangles.dtype == np.int32


def test_colours_are_read(tmp_path, cube):
    colours = np.linspace(0, 1, 24).reshape(8, 3)
    cube.vertex_colors = o3d.utility.Vector3dVector(colours)
    o3d.io.write_triangle_mesh(str(tmp_path / "cube.ply"), cube)
    _, found = read_coloured_mesh(tmp_path / "cube.ply")
    assert found is not None
    np.testing.assert_allclose(found, colours, atol=1 / 255)


def break_file(case: str, binary: Path, text: Path) -> Path:
    """A file that cannot be read as a mesh, in one way."""
    folder, words = binary.parent, text.read_text()
    if case == "missing":
        return folder / "nowhere.ply"
    if case == "folder":
        (folder / "folder.ply").mkdir()
        return folder / "folder.ply"
    if case == "cloud":
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(np.eye(3)))
        o3d.io.write_point_cloud(str(folder / "cloud.ply"), cloud)
        return folder / "cloud.ply"
    contents = {
        "empty": b"",
        "no mesh": b"Dear diary, " * 10,
        "other suffix": b"",
        "no obj": b"Dear diary, " * 10,
        "no stl": b"Dear diary, " * 10,
        "no header": binary.read_bytes()[:60],
        "cut in the vertices": binary.read_bytes()[:300],
        "cut in the triangles": binary.read_bytes()[:-40],
        "cut text": words[:-40].encode(),
        "corner too high": words.replace("\n3 ", "\n3 9").encode(),
        "corner negative": words.replace("\n3 ", "\n3 -").encode(),
        "not finite": words.replace("end_header\n0 ", "end_header\nnan ").encode(),
        "promises too much": words.replace("vertex 8", "vertex 800000000").encode(),
    }
    name = {"other suffix": "mesh.dat", "no obj": "mesh.obj", "no stl": "mesh.stl"}.get(case, "mesh.ply")
    (folder / name).write_bytes(contents[case])
    return folder / name


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "is missing"),
        ("folder", "is not a file"),
        ("empty", "is empty"),
        ("other suffix", r"must end in \.ply, \.obj or \.stl"),
        ("no mesh", "is not a PLY file"),
        ("no header", "is not a PLY file"),
        ("no obj", "has no triangles"),
        ("no stl", "has no triangles"),
        ("cloud", "has no triangles, only points"),
        ("cut in the vertices", "is damaged"),
        ("cut in the triangles", "is damaged: only 8 of 12 triangles"),
        ("cut text", "is damaged: only 7 of 12 triangles"),
        ("corner too high", "a corner that does not exist"),
        ("corner negative", "is damaged"),
        ("not finite", "not finite"),
        ("promises too much", "is shorter than its header says"),
    ],
)
def test_damage_is_one_error_and_nothing_printed(binary, text, capfd, case, message):
    path = break_file(case, binary, text)
    with pytest.raises(MeshFileError, match=message) as error:
        read_mesh(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_standard_error_works_again_afterwards(binary, capfd):
    read_mesh(binary)
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
