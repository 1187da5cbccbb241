# SPDX-License-Identifier: Apache-2.0
"""The benchmark command: a page with every table, numbers that agree, clear errors. Never how fast anything is."""

from __future__ import annotations

import json

import pytest

from neuralfusion_ros.cli import main

FUSED = ("rays", "allocate", "extract", "fuse", "integrate", "frame")


@pytest.fixture(scope="module")
def result(tmp_path_factory, room_folder, model_file):
    """The folder that a run has written, and the content of its own JSON file."""
    folder = tmp_path_factory.mktemp("benchmark")
    options = ["--model", str(model_file), "--voxel-size", "0.08", "--device", "cpu", "--frames", "6"]
    files = ["--output", str(folder), "--json", str(folder / "numbers.json")]
    assert main(["benchmark", str(room_folder), *options, *files]) == 0
    return folder, json.loads((folder / "numbers.json").read_text())


def test_the_page_has_every_table_and_its_picture(result):
    folder, _ = result
    page = (folder / "performance.md").read_text()
    for title in (
        "A frame",
        "Its stages",
        "From changed blocks to messages",
        "The same frame in a larger map",
        "Limits",
    ):
        assert f"## {title}" in page
    assert (folder / "performance.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "performance.json").read_text()).keys() == result[1].keys()


def test_all_ways_to_fuse_are_timed_and_stages_lie_within_their_frame(result):
    fusing = result[1]["fusing"]
    names = list(fusing)
    assert [name.split(", ")[-1] for name in names] == ["compiled", "torch", "Open3D VoxelBlockGrid"]
    assert fusing[names[-1]]["ratio_to_open3d"] == 1
    for name in names[:2]:
        stages = fusing[name]["stages_ms"]
        assert set(stages) == set(FUSED)
        assert 0 < sum(stages[stage]["p50"] for stage in FUSED[:-1]) < 1.5 * stages["frame"]["p95"]


def test_counts_are_those_of_the_map(result):
    numbers = result[1]
    counts = numbers["surface_counts"]
    assert 0 < counts["blocks_changed"] <= counts["blocks_decoded"]
    assert counts["stream_bytes"] > counts["blocks_changed"] * 512 * 12
    assert counts["marker_bytes"] > 36 * counts["triangles"] > 0
    assert numbers["bytes_per_voxel"] > 12  # six halves, the table, and the spare room of a small map
    assert [int(blocks) for blocks in numbers["growth_ms"]] == [1_000, 10_000, 50_000]
    assert 0 < numbers["share_of_limit"] < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["/no/such"], "/no/such"),
        (["--frames", "4"], "--frames must be at least 5, got 4"),
        (["--output", "/no/such"], "there is no folder /no/such"),
        (["--json", "/no/such.txt"], "must end in .json"),
        (["--device", "gpu"], "invalid choice"),
    ],
)
def test_mistakes_are_one_line(capsys, options, message):
    try:
        assert main(["benchmark", *options]) == 2
    except SystemExit as exit_:
        assert exit_.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
