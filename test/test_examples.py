# SPDX-License-Identifier: Apache-2.0
"""Every example runs as it is, without data, and says what it should."""

import re
import runpy
import sys

import pytest

from neuralfusion_ros.commands.demo_recording import CAMERA, demo_frames
from neuralfusion_ros.datasets.sequence_folder import write_sequence_folder
from neuralfusion_ros.mapping import Mapper, MapSettings, load_model
from neuralfusion_ros.mapping.mesh_file import read_mesh


@pytest.fixture
def run(root, tmp_path, monkeypatch, capfd):
    """Runs an example in an empty folder; gives what it and its children print."""

    def run_example(name, *words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(root))
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(root / "examples" / name), run_name="__main__")
        return capfd.readouterr().out

    return run_example


def test_every_example_is_tested_and_described(root):
    names = {path.name for path in (root / "examples").glob("*.py")}
    here = (root / "test" / "test_examples.py").read_text()
    assert len(names) == 5 and all(f'run("{name}"' in here for name in names)
    assert set(re.findall(r"\]\((\w+\.py)\)", (root / "examples" / "README.md").read_text())) == names


def test_every_example_is_short(root):
    lines = {path.name: len(path.read_text().splitlines()) for path in (root / "examples").glob("*.py")}
    assert all(10 <= count <= 40 for count in lines.values()), lines


def test_fuse_folder(run, tmp_path):
    write_sequence_folder(tmp_path / "mine", CAMERA, demo_frames(2))
    assert "rejected frames: none" in run("fuse_folder.py", "mine", "--output", "map")
    assert len(read_mesh(tmp_path / "map.ply").triangles) > 1000
    mapper = Mapper(load_model("small"), MapSettings(voxel_size_m=0.04))
    mapper.load(tmp_path / "map.nfmap")
    assert mapper.grid.n_blocks > 50


def test_query_points(run):
    states = [line.split()[1] for line in run("query_points.py").splitlines()[1:]]
    assert states[0] == "free" and states[-1] == "unknown" and "occupied" in states
    assert states == sorted(states)  # from free over occupied to unknown, along the ray


def test_stream_blocks(run):
    *received, sent = run("stream_blocks.py").splitlines()
    assert len(received) == 4 and all(int(line.split()[-2]) > 1000 for line in received)
    blocks_of_copy, blocks = (int(line.split()[1]) for line in (received[-1], sent))
    assert blocks_of_copy == blocks > 50


def test_train_one_minute(run, tmp_path):
    assert "1 steps" in run("train_one_minute.py", "--minutes", "0.0001", "--output", "short")
    assert {"short.safetensors", "short.json"} <= {path.name for path in tmp_path.iterdir()}


def test_add_dataset(run):
    said = run("add_dataset.py")
    assert said.startswith("rejected {'unreadable': 1}: ")
    assert int(said.split()[-2]) > 1000
