# SPDX-License-Identifier: Apache-2.0
"""neuralfusion compare: numbers that can be worked out by hand, the picture, and what becomes of bad input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralfusion_ros import cli
from neuralfusion_ros.mapping.mesh_file import write_mesh
from neuralfusion_ros.mapping.mesh_up import note_up
from neuralfusion_ros.mapping.meshing import Mesh

SIZE = ("--size", "160x120")


def plate(height_m: float, length_m: float = 1.0) -> Mesh:
    """Horizontal, 1 m wide, seen from above."""
    corners = [[0, 0, height_m], [length_m, 0, height_m], [length_m, 1, height_m], [0, 1, height_m]]
    return Mesh(np.array(corners, np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder: a plate at 0, others 4 mm and 30 mm above it, half of one, and one far away."""
    monkeypatch.chdir(tmp_path)
    plates = {
        "truth": plate(0), "good": plate(0.004), "bad": plate(0.03), "half": plate(0, 0.5), "far": plate(9)
    }  # fmt: skip
    for name, mesh in plates.items():
        write_mesh(tmp_path / f"{name}.ply", mesh)
    (tmp_path / "other").mkdir()
    write_mesh(tmp_path / "other" / "good.ply", plates["good"])
    return tmp_path


@pytest.fixture
def compare(folder, monkeypatch, capfd):
    """compare(*words): what was printed."""
    monkeypatch.setattr("neuralfusion_ros.commands.compare.PATIENCE_S", math.inf)

    def call(*words):
        assert cli.main(["compare", *words]) == 0
        said = capfd.readouterr()
        assert said.err == ""
        return said.out

    return call


def shares(picture: np.ndarray) -> list[float]:
    """Share of clearly red pixels in the left and in the right half above the colour bar."""
    red = (picture[:150, :, 0] - picture[:150, :, 2]) > 60
    return [float(half.mean()) for half in np.array_split(red, 2, axis=1)]


def test_numbers_and_picture(compare, folder):
    said = compare("good.ply", "bad.ply", "--reference", "truth.ply", "--output", "c.png", "--json", *SIZE)
    found = json.loads(said)
    assert found["reference"] == "truth.ply"
    good, bad = found["meshes"]
    assert (good["name"], good["file"], good["triangles"]) == ("good", "good.ply", 2)
    assert good["accuracy_mm"] == pytest.approx(4, abs=1e-3) and good["completeness_mm"] == pytest.approx(4, abs=1e-3)
    assert bad["accuracy_mm"] == pytest.approx(30, abs=1e-3)
    assert [good[f"f{limit}cm"] for limit in (1, 2, 5)] == [1, 1, 1]
    assert [bad[f"f{limit}cm"] for limit in (1, 2, 5)] == [0, 0, 1]
    picture = np.asarray(Image.open("c.png").convert("RGB")).astype(int)
    # Two panels, their titles and lines, and the bar.
    assert picture.shape[1] > 2 * 160 and picture.shape[0] > 120 + 30
    left, right = shares(picture)
    assert right > 0.2 > 10 * left


def test_what_takes_long_tells_how_far_it_is(monkeypatch, folder, capfd):
    monkeypatch.setattr("neuralfusion_ros.commands.compare.PATIENCE_S", 0)
    words = ["compare", "good.ply", "bad.ply", "--reference", "truth.ply"]
    assert cli.main([*words, "--output", "c.png", *SIZE]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("comparing: 2 of 10, ") and lines[-1] == "comparing: 10 of 10, 0 s left"
    assert cli.main([*words, "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out) and said.err == ""


def test_what_is_missing_costs_completeness(compare):
    (half,) = json.loads(compare("half.ply", "--reference", "truth.ply", "--json"))["meshes"]
    assert half["accuracy_mm"] == pytest.approx(0, abs=1e-3)
    # Half of the plate is 0 to 50 cm away.
    assert half["completeness_mm"] == pytest.approx(125, abs=2)
    assert half["f5cm"] == pytest.approx(2 * 0.55 / 1.55, abs=0.01)


def test_table_and_titles(compare):
    lines = compare("good.ply", "bad.ply", "--reference", "truth.ply", "--names", "ours, TSDF").splitlines()
    assert lines[0] == "| mesh | triangles | accuracy mm | completeness mm | F 1 cm | F 2 cm | F 5 cm |"
    assert lines[2] == "| ours | 2 | 4.00 | 4.00 | 1.000 | 1.000 | 1.000 |"
    assert lines[3] == "| TSDF | 2 | 30.00 | 30.00 | 0.000 | 0.000 | 1.000 |"
    # Two files of the same name are told apart.
    lines = compare("good.ply", "other/good.ply").splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| good.ply", "| other/good.ply"]


def test_without_reference_a_plain_picture(compare, folder):
    names = "a $trange_name^,another,\N{SNOWMAN}\N{CJK UNIFIED IDEOGRAPH-6F22}"
    found = json.loads(
        compare("good.ply", "bad.ply", "half.ply", "--output", "c.png", "--names", names, "--json", *SIZE)
    )
    assert found["reference"] is None and set(found["meshes"][0]) == {"name", "file", "triangles"}
    picture = Image.open("c.png")
    assert picture.width > 3 * 160
    assert sorted(path.name for path in folder.glob("*.png")) == ["c.png"]


def test_up_is_as_the_reference_notes(compare):
    def picture(*options):
        compare("good.ply", "--reference", "truth.ply", "--output", "c.png", *options, *SIZE)
        return np.asarray(Image.open("c.png"))

    note_up(Path("good.ply"), (1, 0, 0))
    from_the_mesh = picture()
    note_up(Path("truth.ply"), (0, 0, -1))
    np.testing.assert_array_equal(picture(), picture("--up=-z"))
    np.testing.assert_array_equal(from_the_mesh, picture("--up=x"))
    assert (picture() != picture("--up=z")).any()


def test_a_mesh_in_another_frame_is_told(compare):
    said = compare("far.ply", "good.ply", "--reference", "truth.ply", "--output", "c.png", *SIZE)
    assert "| far | 2 | inf | inf | 0.000 |" in said
    assert said.splitlines()[-1] == "far lies outside the reference: are both in the same frame, in metres?"
    far = json.loads(compare("far.ply", "--reference", "truth.ply", "--json"))["meshes"][0]
    assert far["accuracy_mm"] is None and far["f5cm"] == 0


def test_a_mesh_that_lies_mostly_outside_is_told(compare, folder):
    near, far = plate(0.004), plate(9)
    both = [near.triangles, far.triangles + 4, far.triangles + 4]
    write_mesh(folder / "both.ply", Mesh(np.concatenate([near.vertices, far.vertices]), np.concatenate(both)))
    said = compare("both.ply", "good.ply", "--reference", "truth.ply")
    assert said.splitlines()[-1] == "67% of both lie outside the reference's bounding box and were not counted"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["good.ply", "nowhere.ply"], "nowhere.ply is missing"),
        (["good.ply", "--reference", "nowhere.ply"], "nowhere.ply is missing"),
        (["good.ply", "--reference", "cloud.ply"], "cloud.ply has no triangles, only points"),
        (["cut.ply", "--reference", "good.ply"], "cut.ply is damaged"),
        (["good.ply", "--names", "a,b"], "--names: expected 1 names"),
        (["good.ply", "bad.ply", "--names", "a,"], "--names: expected 2 names"),
        (["good.ply", "--limit", "0"], "--limit must lie in"),
        (["good.ply", "--output", "nowhere/c.png"], "there is no folder nowhere"),
        (["good.ply", "--output", "c.ply"], "must end in .png"),
        ([], "MESH"),
    ],
)
def test_bad_input_is_one_line(folder, capfd, words, message):
    (folder / "cut.ply").write_bytes((folder / "good.ply").read_bytes()[:-5])
    cloud = (
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (folder / "cloud.ply").write_text(f"{cloud}0 0 0\n")
    try:
        code: object = cli.main(["compare", *words, "--json"])
    except SystemExit as stop:
        code = stop.code
    said = capfd.readouterr()
    assert code == 2
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("neuralfusion: error: ") and message in said.err
