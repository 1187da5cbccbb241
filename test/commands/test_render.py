# SPDX-License-Identifier: Apache-2.0
"""neuralfusion render: what it draws, and what becomes of bad input."""

import math

import numpy as np
import open3d as o3d
import pytest
from PIL import Image

from neuralfusion_ros import cli
from neuralfusion_ros.mapping.mesh_up import note_up
from neuralfusion_ros.pictures.picture import DRAWING_STEPS

RED, GREEN, BLUE = range(3)


@pytest.fixture
def cube_file(tmp_path):
    """A cube of 1 m."""
    path = tmp_path / "cube.ply"
    o3d.io.write_triangle_mesh(str(path), o3d.geometry.TriangleMesh.create_box())
    return path


@pytest.fixture
def green_file(tmp_path):
    """The same cube in green."""
    path = tmp_path / "green.ply"
    cube = o3d.geometry.TriangleMesh.create_box()
    cube.paint_uniform_color((0, 1, 0))
    o3d.io.write_triangle_mesh(str(path), cube)
    return path


@pytest.fixture
def render(tmp_path, monkeypatch, capsys):
    """render(mesh, *options): the picture and which of its pixels show the mesh."""
    monkeypatch.setattr("neuralfusion_ros.commands.draw_mesh.PATIENCE_S", math.inf)

    def call(mesh, *options):
        output = tmp_path / "picture.png"
        assert cli.main(["render", str(mesh), "--output", str(output), "--size", "80x60", *map(str, options)]) == 0
        said = capsys.readouterr()
        assert said.err == "" and said.out == f"{output}: 80x60 pixels, 12 triangles\n"
        picture = np.asarray(Image.open(output)).astype(int)
        return picture, (picture != picture[0, 0]).any(axis=2)

    return call


def test_what_takes_long_tells_how_far_it_is(monkeypatch, tmp_path, cube_file, capsys):
    monkeypatch.setattr("neuralfusion_ros.commands.draw_mesh.PATIENCE_S", 0)
    assert cli.main(["render", str(cube_file), "--output", str(tmp_path / "picture.png"), "--size", "80x60"]) == 0
    *_, last = capsys.readouterr().err.splitlines()
    assert last == f"drawing: {DRAWING_STEPS} of {DRAWING_STEPS}, 0 s left"


def test_size_and_zoom(render, cube_file):
    picture, shown = render(cube_file)
    assert picture.shape == (60, 80, 3)
    assert not shown[0].any() and max(shown.any(axis=0).mean(), shown.any(axis=1).mean()) > 0.85
    far = render(cube_file, "--zoom", 0.5)[1]
    assert far.sum() == pytest.approx(shown.sum() / 4, rel=0.1)


@pytest.mark.parametrize(("azimuth", "channel"), [(0, RED), (90, GREEN), (-180, RED), (270, GREEN)])
def test_azimuth_and_elevation(render, cube_file, azimuth, channel):
    picture, shown = render(cube_file, "--azimuth", azimuth, "--elevation", 0, "--colour", "normal")
    colour = picture[shown].mean(axis=0)
    # One face fills the picture. Its normal is that axis or its negative.
    others = np.delete(colour, channel)
    assert colour[channel] > 1.5 * others.max() if azimuth in (0, 90) else colour[channel] < 0.5 * others.min()


def test_up_turns_the_picture(render, cube_file):
    above = ("--elevation", 89, "--colour", "normal")
    for up, channel in (("x", RED), ("y", GREEN), ("z", BLUE)):
        picture, shown = render(cube_file, "--up", up, *above)
        assert picture[shown].mean(axis=0).argmax() == channel
    picture, shown = render(cube_file, "--up=-y", *above)
    assert picture[shown].mean(axis=0).argmin() == GREEN


def test_up_is_as_the_mesh_notes_unless_asked_otherwise(render, cube_file):
    note_up(cube_file, (0, -0.9, 0.1))
    above = (cube_file, "--elevation", 89, "--colour", "normal")
    np.testing.assert_array_equal(render(*above)[0], render(*above, "--up=-y")[0])
    picture, shown = render(*above, "--up", "z")
    assert picture[shown].mean(axis=0).argmax() == BLUE


def test_colours_of_vertices_are_taken_if_the_file_has_any(render, green_file):
    for options in ((), ("--colour", "vertices")):
        picture, shown = render(green_file, *options)
        assert picture[shown][:, GREEN].min() > 30
        assert picture[shown][:, [RED, BLUE]].mean() < 10  # but for the smoothed outline
    picture, shown = render(green_file, "--colour", "plain")
    assert np.ptp(picture[shown].mean(axis=0)) < 25


def test_height_goes_from_blue_to_red(render, cube_file):
    picture, shown = render(cube_file, "--elevation", 0, "--azimuth", 0, "--colour", "height")
    rows = np.flatnonzero(shown.any(axis=1))
    top, bottom = (picture[row][shown[row]].mean(axis=0) for row in (rows[3], rows[-3]))
    assert top[RED] > top[BLUE] and bottom[BLUE] > bottom[RED]


def test_both_sides_closes_what_one_looks_through(render, tmp_path):
    """A cube that is turned inside out."""
    cube = o3d.geometry.TriangleMesh.create_box()
    inside_out = np.asarray(cube.triangles)[:, ::-1]
    cube.triangles = o3d.utility.Vector3iVector(inside_out)
    path = tmp_path / "cube.ply"
    o3d.io.write_triangle_mesh(str(path), cube)
    view = ("--elevation", 45, "--azimuth", 0, "--colour", "normal")
    through, shown = render(path, *view)
    closed, _ = render(path, *view, "--both-sides")
    # Through the lid one sees the floor, whose normal points up as that of the lid does, but lies deeper.
    assert (through != closed).any(axis=2)[shown].mean() > 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.ply", "--output", "p.png"], "nowhere.ply is missing"),
        (["broken.ply", "--output", "p.png"], "broken.ply is not a PLY file"),
        (["CUBE", "--output", "p.jpg"], "p.jpg must end in .png"),
        (["CUBE", "--output", "nowhere/p.png"], "there is no folder nowhere"),
        (["CUBE", "--output", "p.png", "--colour", "vertices"], "has no colours of vertices"),
        (["CUBE", "--output", "p.png", "--size", "80"], "argument --size: expected WIDTHxHEIGHT"),
        (["CUBE", "--output", "p.png", "--size", "80x99999"], "of 16 to 8192 pixels each"),
        (["CUBE", "--output", "p.png", "--elevation", "90"], "expected a number in -89..89, got 90"),
        (["CUBE", "--output", "p.png", "--zoom", "nan"], "expected a number in 0.1..100, got nan"),
        (["CUBE", "--output", "p.png", "--up", "w"], "argument --up: invalid choice"),
        (["CUBE"], "--output"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, cube_file, capfd, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.ply").write_text("no mesh")
    before = sorted(tmp_path.iterdir())
    try:
        code: object = cli.main(["render", *(str(cube_file) if word == "CUBE" else word for word in words)])
    except SystemExit as stop:
        code = stop.code
    said = capfd.readouterr()
    assert code == 2
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("neuralfusion: error: ") and message in said.err
    assert sorted(tmp_path.iterdir()) == before
