# SPDX-License-Identifier: Apache-2.0
"""benchmark --live: how arrivals become delays, the slope of the memory, mistakes, and one short run of real nodes."""

from __future__ import annotations

import json
import math
import os
import time

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from neuralfusion_ros.benchmark.arrivals import Arrival, delays_ms, percentile
from neuralfusion_ros.benchmark.memory_track import MemoryTrack
from neuralfusion_ros.benchmark.process_usage import CpuMeter, resident_bytes
from neuralfusion_ros.cli import main
from neuralfusion_ros.commands.live_camera import stamped
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.stamps import stamp_to_ns

MS = 1_000_000


def test_an_image_is_shown_by_the_first_message_that_is_as_new():
    arrivals = [Arrival(0, 150 * MS), Arrival(100 * MS, 180 * MS), Arrival(100 * MS, 210 * MS)]
    arrivals += [Arrival(50 * MS, 220 * MS), Arrival(300 * MS, 420 * MS)]  # 200 was dropped
    stamps = [100 * MS, 200 * MS, 300 * MS, 400 * MS]
    assert delays_ms(stamps, arrivals) == [80.0, 220.0, 120.0, None]
    assert delays_ms(stamps, []) == [None] * 4


def test_images_that_were_never_shown_count_as_infinite():
    delays = [float(ms) for ms in range(1, 20)]
    assert percentile([*delays, None], 50) == 10 and percentile([*delays, None], 95) == 19
    assert percentile([*delays, None, None], 95) == math.inf
    assert percentile([7.0], 5) == percentile([7.0], 95) == 7
    assert math.isnan(percentile([], 50))


def test_growth_is_the_slope_after_the_first_minute():
    track = MemoryTrack()
    for second in range(300):
        filling = 5e6 * min(second, 60)
        track.add(float(second), {"leaks": int(filling + 2e6 * second / 60), "rests": int(filling)})
    assert track.growth_mb_per_minute("leaks") == pytest.approx(2, rel=1e-3)
    assert track.growth_mb_per_minute("rests") == pytest.approx(0, abs=1e-3)
    short = MemoryTrack([0.0, 30.0], {"node": [1, 2]})
    assert math.isnan(short.growth_mb_per_minute("node"))


def test_a_process_that_works_and_grows_is_seen():
    before, meter = resident_bytes(os.getpid()), CpuMeter(os.getpid())
    held = np.ones(8_000_000)
    begin_s = time.process_time()
    while time.process_time() - begin_s < 0.3:
        held.sum()
    assert resident_bytes(os.getpid()) - before > 50e6
    assert meter.percent() > 1


def test_a_message_gets_another_stamp_and_nothing_else():
    image = encode_depth(np.full((4, 6), 1.5), 5, "camera")
    again = deserialize_message(stamped(serialize_message(image), 7_000_000_009), Image)
    assert stamp_to_ns(again.header.stamp) == 7_000_000_009
    again.header.stamp = image.header.stamp
    assert again == image


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes", "1"], "--minutes goes with --live"),
        (["--mesh-rate", "5"], "--mesh-rate goes with --live"),
        (["--live", "--minutes", "0"], "--minutes must lie in 0..1440, got 0.0"),
        (["--live", "--minutes", "nan"], "--minutes must lie in 0..1440, got nan"),
        (["--live", "--rate", "-3"], "--rate must lie in 0.1..1000, got -3.0"),
        (["--live", "--frames", "4"], "--frames must be at least 5, got 4"),
        (["--live", "--model", "no_such"], "no_such"),
        (["--live", "/no/such"], "/no/such"),
    ],
)
def test_mistakes_are_one_line(capsys, options, message):
    assert main(["benchmark", *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.timeout(300)
def test_real_nodes_are_measured(start, tmp_path, room_folder, model_file):
    options = ("--voxel-size", "0.08", "--device", "cpu", "--model", model_file, "--minutes", "0.05")
    process = start("benchmark", "--live", room_folder, *options, "--output", tmp_path, "--json", tmp_path / "my.json")
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, output + errors
    numbers = json.loads((tmp_path / "live.json").read_text())
    assert numbers == json.loads((tmp_path / "my.json").read_text())

    assert 0 < numbers["first_mesh_s"] < 60
    delays = numbers["delays_ms"]
    assert list(delays) == ["integrated", "latent_blocks", "mesh"]
    for values in delays.values():
        assert 0 < values["p50"] <= values["p95"] < 60_000 and values["never_shown"] == 0
    assert delays["integrated"]["p50"] <= delays["latent_blocks"]["p50"] <= delays["mesh"]["p50"]
    for frames, sent in (
        (numbers["frames"], 10),
        (numbers["sustained"]["frames"], 10),
        (numbers["memory"]["frames"], 30),
    ):
        assert frames["sent"] == sent == sum(frames[key] for key in ("integrated", "dropped", "rejected", "lost"))
        assert frames["integrated"] > 0 and frames["rejected"] == 0
    assert numbers["sustained"]["frames_per_s"] > 0
    for part in ("idle", "playing", "sustained"):
        assert set(numbers["cpu_percent"][part]) == {"fusion_node", "translator_node"}
    assert all(min(resident) > 50e6 for resident in numbers["memory"]["resident_bytes"].values())
    assert set(numbers["memory"]["growth_mb_per_minute"].values()) == {None}, (
        "there is no slope before the first minute"
    )

    page = (tmp_path / "live.md").read_text()
    for title in ("Delay", "CPU, percent of one core", "Frames", "Memory over"):
        assert f"## {title}" in page and title in output
    assert (tmp_path / "live.png").read_bytes().startswith(b"\x89PNG")
