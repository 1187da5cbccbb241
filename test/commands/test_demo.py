# SPDX-License-Identifier: Apache-2.0
"""neuralfusion demo: the whole graph on a small recording, and what becomes of failures."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
from PIL import Image

from neuralfusion_ros import cli
from neuralfusion_ros.commands import demo_recording
from neuralfusion_ros.commands.dds_profile import profile_variable
from neuralfusion_ros.commands.demo_plan import make_plan
from neuralfusion_ros.commands.demo_summary import first_problem
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.mapping.mesh_up import noted_up
from neuralfusion_ros.training.rendering import DepthRenderer


# Four processes that import torch take long on a busy machine.
@pytest.mark.timeout(300)
def test_the_whole_graph(start, tmp_path, room_folder, room_frames, camera, model_file):
    options = ("--output", "out", "--voxel-size", "0.05", "--device", "cpu", "--model", model_file)
    process = start("demo", room_folder, *options)
    output, errors = process.communicate(timeout=280)
    folder = tmp_path / "work" / "out"
    logs = "".join(f"\n{path.name}:\n{path.read_text()}" for path in folder.glob("*.log"))
    assert process.returncode == 0, output + errors + logs
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "mesh.ply", "mesh.png", "summary.json", "fusion_node.log", "translator_node.log", "replay_node.log",
    }  # fmt: skip

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["frames_in_recording"] == summary["frames_in"] == summary["frames_integrated"] == 10
    assert summary["frames_dropped"] == 0 and summary["frames_rejected"] == {}
    assert 0 < summary["ms_per_frame"]["p50"] <= summary["ms_per_frame"]["p95"]
    assert summary["map_bytes"] > 1000 * summary["blocks"] > 0
    assert summary["markers"] > 0 and summary["tsdf_points"] > 1000
    assert summary["internal_errors"] == {"fusion_node": 0, "translator_node": 0}
    assert summary["exit_codes"] == {"fusion_node": 0, "translator_node": 0, "replay_node": 0}
    assert "time per frame" in output and str(summary["triangles"]) in output

    mesh = o3d.io.read_triangle_mesh(str(folder / "mesh.ply"))
    assert len(mesh.triangles) == summary["triangles"] > 1000
    assert noted_up(folder / "mesh.ply") == pytest.approx((0, 0, 1), abs=0.3)
    frame = room_frames[4]
    seen = DepthRenderer(np.asarray(mesh.vertices), np.asarray(mesh.triangles)).render(camera, frame.T_world_camera)
    both = (seen > 0) & (frame.depth_m > 0)
    assert both.mean() > 0.7
    assert np.mean(np.abs(seen - frame.depth_m)[both] < 0.1) > 0.9
    assert len(np.unique(np.asarray(Image.open(folder / "mesh.png")).reshape(-1, 3), axis=0)) > 1000


def test_a_node_that_fails_ends_the_demo(monkeypatch, root, tmp_path, room_folder, model_file, capsys):
    # In place of Python, for the nodes only: a program that knows no nodes.
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho out of order\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    # What the demo puts into the environment is taken out of it again.
    monkeypatch.setenv("ROS_DOMAIN_ID", os.environ["ROS_DOMAIN_ID"])
    monkeypatch.setenv(profile_variable(), str(root / "config" / "fastdds_shm.xml"))
    folder = tmp_path / "out"
    assert cli.main(["demo", str(room_folder), "--output", str(folder), "--model", str(model_file)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    # Whichever of the two ended first.
    assert re.match("neuralfusion: the demo failed: (fusion|translator)_node ended with exit code 3; see ", error)
    assert Path(error.rpartition("; see ")[2]).read_text() == "out of order\n"
    assert not (folder / "mesh.ply").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_all_nodes(start, tmp_path, room_folder, model_file, number, code):
    options = ("--output", "out", "--voxel-size", "0.1", "--model", model_file)
    process = start("demo", room_folder, *options)
    end_s = time.monotonic() + 100
    while not (tmp_path / "work" / "out" / "translator_node.log").exists():
        assert process.poll() is None and time.monotonic() < end_s
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert running_in(tmp_path / "work" / "out") == []


def running_in(folder):
    """Processes of nodes that were told about a file in the folder."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path)]
    return [command for command in commands if str(folder).encode() in command]


def readable(path):
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "nowhere is missing"),
        (["--frames", "0"], "--frames must be at least 1"),
        (["--rate", "0"], "--rate must lie in"),
        (["--voxel-size", "7"], "voxel size must lie in"),
        (["--model", "nonsense"], "no model named 'nonsense'"),
    ],
)
def test_bad_input_is_refused_before_any_node_starts(tmp_path, model_file, capsys, options, message):
    folder = tmp_path / "out"
    assert cli.main(["demo", "--model", str(model_file), *options, "--output", str(folder)]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("neuralfusion: error: ") and message in output.err and output.err.count("\n") == 1
    assert not folder.exists() or not any(folder.iterdir())


def test_input_that_cannot_be_read_leaves_the_earlier_demo(tmp_path, capsys):
    (tmp_path / "mesh.ply").write_text("of an earlier demo")
    assert cli.main(["demo", str(tmp_path / "nowhere"), "--output", str(tmp_path)]) == 2
    assert (tmp_path / "mesh.ply").exists()
    assert cli.main(["demo", "--output", str(tmp_path / "mesh.ply")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("mesh.ply is not a folder")


def test_its_own_recording_is_noisy_and_always_the_same(tmp_path):
    for name in ("a", "b"):
        demo_recording.write_demo_recording(tmp_path / name, 2)
    first, again = (list(open_recording(tmp_path / name)) for name in ("a", "b"))
    assert len(first) == 2 and first[0].depth_m.shape == (480, 640)
    assert first[1].stamp_ns - first[0].stamp_ns == 100_000_000
    np.testing.assert_array_equal(first[1].depth_m, again[1].depth_m)
    # As a structured light camera: no depth in shadows and at edges, and depth in coarse steps.
    assert 0.01 < np.mean(first[0].depth_m == 0) < 0.5


def test_the_plan(tmp_path, room_folder):
    plan = make_plan(room_folder, None, None, tmp_path)
    assert plan.recording == room_folder and plan.frames == 10
    # Recorded at 10 Hz, played at 5 Hz.
    assert plan.rate == pytest.approx(0.5) and plan.duration_s == pytest.approx(1.8)
    assert make_plan(room_folder, None, 3.0, tmp_path).rate == 3.0
    few = make_plan(room_folder, 4, None, tmp_path)
    assert few.frames == 4 and few.recording == tmp_path / "recording"
    # Once more: the recording of the earlier demo is replaced.
    assert make_plan(room_folder, 5, None, tmp_path).frames == 5


GOOD = {"frames_integrated": 9, "markers": 5, "tsdf_points": 7, "triangles": 3, "exit_codes": {"fusion_node": 0}}
GOOD["internal_errors"] = {"fusion_node": 0}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"markers": 0}, "translator_node sent no markers with triangles"),
        ({"tsdf_points": 0}, "translator_node sent no TSDF"),
        ({"triangles": 0}, "translator_node wrote an empty mesh"),
        ({"exit_codes": {"replay_node": 0, "fusion_node": -9}}, "fusion_node ended with exit code -9"),
        ({"internal_errors": {"translator_node": 2}}, "translator_node had 2 internal errors"),
        ({"frames_integrated": 0, "markers": 0}, "fusion_node integrated no frame"),
    ],
)
def test_the_first_problem_is_named(change, problem):
    assert first_problem(GOOD | change) == problem
