# SPDX-License-Identifier: Apache-2.0
"""neuralfusion fuse: what it writes, and what becomes of bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer

from neuralfusion_ros import cli
from neuralfusion_ros.datasets.bag_reader import IMAGE, POSE_STAMPED, TYPES
from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.mapping.mesh_up import noted_up
from neuralfusion_ros.training.rendering import DepthRenderer

REPORT_KEYS = {
    "frames_integrated", "frames_rejected", "ms_per_frame", "translate_ms", "voxels", "blocks", "map_bytes",
    "peak_rss_bytes", "device", "model", "voxel_size_m", "triangles",
}  # fmt: skip


@pytest.fixture
def run(tmp_path, model_file):
    """run(input, *options): exit code of fuse with the small model, writing out/mesh.ply, with 5 cm voxels."""
    (tmp_path / "out").mkdir()

    def call(recording, *options):
        fixed = ["--output", str(tmp_path / "out" / "mesh.ply"), "--model", str(model_file), "--voxel-size", "0.05"]
        return cli.main(["fuse", str(recording), *fixed, *map(str, options)])

    return call


@pytest.fixture
def folder(tmp_path, room_folder):
    """A copy of the recording to damage."""
    return shutil.copytree(room_folder, tmp_path / "room")


@pytest.fixture
def report(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "report.json").read_text())


def written(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def test_mesh_picture_and_report(start, tmp_path, room_folder, room_frames, camera, model_file):
    names = ("--output", "m.ply", "--report", "r.json", "--picture", "p.png", "--device", "cpu", "--voxel-size", "0.03")
    process = start("fuse", room_folder, *names, "--model", model_file)
    output, errors = process.communicate(timeout=110)
    assert process.returncode == 0, errors
    work = tmp_path / "work"
    assert sorted(path.name for path in work.iterdir()) == ["m.ply", "p.png", "r.json"]
    # Piped: plain lines, no escape codes.
    assert "fusing: 10 of 10" in errors and "\x1b" not in errors
    assert output.startswith("m.ply: ") and output.count("\n") == 1

    mesh = o3d.io.read_triangle_mesh(str(work / "m.ply"))
    assert noted_up(work / "m.ply") == pytest.approx((0, 0, 1), abs=0.3)
    report = json.loads((work / "r.json").read_text())
    assert set(report) == REPORT_KEYS
    assert report["frames_integrated"] == 10 and report["frames_rejected"] == {}
    assert 0 < report["ms_per_frame"]["p50"] <= report["ms_per_frame"]["p95"] <= report["ms_per_frame"]["p99"]
    assert report["voxels"] == 512 * report["blocks"] > 0
    assert report["voxels"] * 4 < report["map_bytes"] < report["peak_rss_bytes"]
    assert report["device"] == "cpu" and report["voxel_size_m"] == 0.03
    assert report["model"]["name"] == "untrained" and len(report["model"]["sha256"]) == 64
    assert report["triangles"] == len(mesh.triangles)
    assert Image.open(work / "p.png").size == (1280, 960)

    # The mesh is the room: seen from a camera, it has the camera's depth.
    assert mesh.has_vertex_normals()
    frame = room_frames[4]
    seen = DepthRenderer(np.asarray(mesh.vertices), np.asarray(mesh.triangles)).render(camera, frame.T_world_camera)
    both = (seen > 0) & (frame.depth_m > 0) & (frame.depth_m < 5)
    assert both.mean() > 0.7
    assert np.mean(np.abs(seen - frame.depth_m)[both] < 0.05) > 0.9


def test_fuse_needs_no_ros(tmp_path, root, room_folder, model_file):
    code = (
        "import sys; from neuralfusion_ros.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('rclpy', 'sensor_msgs', 'std_msgs')])"
    )
    options = ["--output", tmp_path / "m.ply", "--model", model_file, "--voxel-size", "0.1", "--every", "5"]
    command = [sys.executable, "-c", code, "fuse", room_folder, *options]
    done = subprocess.run(command, cwd=root, text=True, capture_output=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")


def test_a_bag_gives_the_same_map(tmp_path, run, report, room_folder, room_frames, camera):
    write_bag(tmp_path / "bag", camera, room_frames)
    reports = []
    for recording in (room_folder, tmp_path / "bag"):
        assert run(recording, "--report", tmp_path / "out" / "report.json") == 0
        reports.append(report())
    assert reports[0]["blocks"] == reports[1]["blocks"] and reports[0]["triangles"] == reports[1]["triangles"]


def test_every_and_rejected_frames_are_counted(tmp_path, run, report, folder):
    poses = (folder / "poses.txt").read_text().splitlines()
    first = next(number for number, line in enumerate(poses) if not line.startswith("#"))
    poses[first] = " ".join([*poses[first].split()[:4], "0 0 0 2"])
    stamp, _, *rest = poses[first + 3].split()
    poses[first + 3] = " ".join([stamp, "1e9", *rest])
    (folder / "poses.txt").write_text("\n".join(poses) + "\n")
    far = np.full((120, 160), 60000, np.uint16)
    Image.fromarray(far).save(folder / "depth" / "000009.png")
    assert run(folder, "--every", "2", "--report", tmp_path / "out" / "report.json") == 0
    # Of images 1 to 9, every second; the second has a pose far away, the last nothing in range.
    assert report()["frames_integrated"] == 3
    assert report()["frames_rejected"] == {"pose": 1, "pose out of reach": 1, "no depth in range": 1}


def make_bag(path, topics):
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, msgtype in topics:
            writer.add_connection(topic, msgtype, typestore=TYPES)
    return path


def break_folder(folder, case):
    """Makes the recording unusable in one way; returns it."""
    if case == "missing folder":
        return folder / "nowhere"
    if case == "no recording":
        return folder / "depth"
    if case == "empty bag":
        return make_bag(folder / "bag", [("/depth/image", IMAGE)])
    if case == "no depth topic":
        return make_bag(folder / "bag", [("/pose", POSE_STAMPED)])
    if case == "fewer images than poses":
        (folder / "depth" / "000003.png").unlink()
    elif case == "unreadable image":
        image = folder / "depth" / "000005.png"
        image.write_bytes(image.read_bytes()[:500])
    elif case == "only unreadable images":
        for image in (folder / "depth").iterdir():
            image.write_bytes(b"no image")
    elif case == "no camera":
        (folder / "camera_info.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing folder", "nowhere is missing"),
        ("no recording", "is not a recording"),
        ("empty bag", "has no depth images"),
        ("no depth topic", "has no depth images"),
        ("fewer images than poses", "has 9 depth images but 10 poses"),
        ("unreadable image", "the depth image after the one at 1.400000 s cannot be read"),
        ("only unreadable images", "none of 10 depth images is usable"),
        ("no camera", "camera_info.json"),
    ],
)
def test_bad_recordings(tmp_path, run, folder, capsys, case, message):
    assert run(break_folder(folder, case)) == 2
    check_one_error(capsys, message)
    assert written(tmp_path) == []


def check_one_error(capsys, message):
    """The last line, after lines of progress, is the only error."""
    output = capsys.readouterr()
    *before, error = output.err.splitlines()
    assert error.startswith("neuralfusion: error: ") and message in error
    assert output.out == "" and all(line.startswith("fusing: ") for line in before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "nonsense"], "no model named 'nonsense'"),
        (["--model", "nonsense.safetensors"], "cannot read model"),
        (["--voxel-size", "-0.02"], "voxel size must lie in"),
        (["--voxel-size", "nan"], "voxel size must lie in"),
        (["--max-depth", "0"], "max depth"),
        (["--max-depth", "0.15"], "no frame could be integrated; rejected frames: 10 (no depth in range)"),
        (["--every", "0"], "--every must be at least 1"),
        (["--output", "mesh.obj"], "must end in .ply"),
        (["--output", "nowhere/mesh.ply"], "there is no folder nowhere"),
        (["--report", "nowhere/report.json"], "there is no folder nowhere"),
        (["--picture", "picture.jpg"], "must end in .png"),
    ],
)
def test_bad_options(tmp_path, run, room_folder, capsys, options, message):
    assert run(room_folder, *options) == 2
    check_one_error(capsys, message)
    assert written(tmp_path) == []


def test_cuda_without_a_gpu(monkeypatch, run, room_folder, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run(room_folder, "--device", "cuda") == 2
    check_one_error(capsys, "no GPU")


def test_a_write_that_fails_leaves_the_old_mesh(monkeypatch, tmp_path, run, room_folder, capsys):
    mesh: Path = tmp_path / "out" / "mesh.ply"
    mesh.write_text("old")

    def fail(name, surface):
        Path(name).write_text("half")
        return False

    monkeypatch.setattr(o3d.t.io, "write_triangle_mesh", fail)
    assert run(room_folder, "--every", "5") == 2
    assert "mesh.ply cannot be written" in capsys.readouterr().err
    assert written(tmp_path) == ["mesh.ply"] and mesh.read_text() == "old"


def test_ctrl_c_ends_quietly_with_nothing_written(start, tmp_path, room_folder, model_file):
    process = start("fuse", room_folder, "--output", "m.ply", "--model", model_file, "--voxel-size", "0.01")
    assert process.stderr is not None
    first_line = process.stderr.readline()
    assert first_line.startswith("fusing: 1 of 10")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors and "error" not in errors
    assert list((tmp_path / "work").iterdir()) == []
