# SPDX-License-Identifier: Apache-2.0
"""`neuralfusion evaluate` on a small sphere, which has an exact mesh."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import open3d as o3d
import pytest
import torch

from neuralfusion_ros.cli import main
from neuralfusion_ros.datasets.sequence_folder import write_sequence_folder
from neuralfusion_ros.mapping.model import Architecture, LatentModel, save_model

CENTRE = (0.05, 0.02, 1.0)


@pytest.fixture
def sphere_folder(studio, tmp_path: Path) -> Path:
    """Six frames around the front of a sphere, and its mesh."""
    sphere = studio.sphere(CENTRE, 0.3)
    frames = [
        replace(studio.frame(sphere, studio.pose((0.05 * k, 0, 0), (0, 0, 9))), stamp_ns=10**9 + k * 10**8)
        for k in range(6)
    ]
    write_sequence_folder(tmp_path / "ball", studio.camera, frames)
    mesh = o3d.geometry.TriangleMesh.create_sphere(0.3, resolution=60).translate(CENTRE)
    o3d.io.write_triangle_mesh(str(tmp_path / "ball" / "gt_mesh.ply"), mesh)
    return tmp_path / "ball"


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """An untrained model, whose map is about a TSDF."""
    torch.manual_seed(0)
    path = tmp_path / "untrained.safetensors"
    save_model(LatentModel(Architecture(latent_channels=2, fusion_width=8, translator_width=8)), path, {})
    return path


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words)])


def test_rooms_compares_all_methods(sphere_folder, model_file, tmp_path, capsys):
    options = ("--voxel-size", 0.04, "--model", model_file, "--device", "cpu", "--samples", 5000)
    words = ("--levels", "clean", *options)
    assert evaluate("rooms", sphere_folder, *words, "--output", tmp_path / "out") == 0
    page = (tmp_path / "out" / "rooms.md").read_text()
    assert page.strip() == capsys.readouterr().out.strip()
    assert "- command: `neuralfusion evaluate rooms ball --levels clean --voxel-size 0.04" in page
    scores = {s["name"]: s for s in json.loads((tmp_path / "out" / "rooms.json").read_text())["ball, clean"]}
    assert len(scores) == 1 + 9 + 12 + 16
    for name in ("learned", "open3d trunc=4 weight>1", "tsdf carve trunc=2 n>=1"):
        assert scores[name]["voxels"]["iou"] > 0.8, name
        assert scores[name]["voxels"]["mad_mm"] < 15, name
        assert scores[name]["mesh"]["accuracy_mm"] < 10, name


def test_holdout_predicts_the_other_frames(sphere_folder, model_file, tmp_path):
    words = ("--voxel-size", 0.04, "--model", model_file, "--device", "cpu", "--output", tmp_path / "out")
    assert evaluate("holdout", sphere_folder, *words) == 0
    scores = json.loads((tmp_path / "out" / "holdout.json").read_text())
    assert set(scores) == {"learned", *(f"open3d trunc={t} weight>{w}" for t in (2, 4, 8) for w in (1, 3, 5))}
    assert scores["open3d trunc=4 weight>1"]["within_5cm"] > 0.7
    assert scores["learned"]["within_5cm"] > 0.9
    assert scores["open3d trunc=4 weight>5"]["missing"] == 1  # three frames were fused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rooms", "FOLDER", "--levels", "hard,strange"), "there is no strange; known"),
        (("rooms", "FOLDER", "--seeds", "-1"), "--seeds"),
        (("rooms", "FOLDER", "--frames", "0"), "--frames"),
        (("rooms", "FOLDER", "--voxel-size", "0"), "voxel size"),
        (("rooms", "FOLDER", "--model", "nosuchmodel", "--methods", "all"), "no model named"),
        (("rooms", "FOLDER/depth"), "is not a recording"),
        (("holdout", "FOLDER/none"), "is missing"),
    ],
)
def test_bad_input_is_one_line(sphere_folder, tmp_path, capsys, words, message):
    options = [] if "--methods" in words else ["--methods", "tsdf"]
    filled = [word.replace("FOLDER", str(sphere_folder)) for word in words]
    assert evaluate(*filled, *options, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("neuralfusion: error: ")
    assert message in error
    assert not list((tmp_path / "out").glob("*.md"))


def test_a_sequence_without_exact_mesh_is_refused(sphere_folder, tmp_path, capsys):
    (sphere_folder / "gt_mesh.ply").unlink()
    assert evaluate("rooms", sphere_folder, "--methods", "tsdf", "--output", tmp_path / "out") == 2
    assert "has no gt_mesh.ply" in capsys.readouterr().err
