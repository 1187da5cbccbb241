# SPDX-License-Identifier: Apache-2.0
"""The demo's room as `neuralfusion view` shows it in a real browser; its screenshots are the pictures of the manual.

Takes two minutes of two cores, so it runs only when NEURALFUSION_PICTURES names the folder for the pictures:
NEURALFUSION_PICTURES=docs/pictures make test PYTEST_ARGS=test/commands/test_live_view_pictures.py
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralfusion_ros.commands.dds_profile import profile_variable
from neuralfusion_ros.commands.demo_graph import DemoGraph
from neuralfusion_ros.commands.demo_plan import make_plan
from neuralfusion_ros.commands.demo_watcher import DemoWatcher
from neuralfusion_ros.commands.node_processes import NodeProcesses
from neuralfusion_ros.mapping.new_file import make_folder, new_file
from scripts.browser import PROGRAM, Page, drawn_share, open_page

PICTURES = os.environ.get("NEURALFUSION_PICTURES")

pytestmark = [
    pytest.mark.timeout(360),
    pytest.mark.skipif(PICTURES is None, reason="makes the pictures of the manual: set NEURALFUSION_PICTURES"),
    pytest.mark.skipif(PROGRAM is None, reason="needs chromium"),
]
pytest.importorskip("viser", reason="needs viser (requirements-view.txt)")

ROOT = Path(__file__).parents[2]
FRAMES, VOXEL_M = 100, 0.03
SIZE = "1280x1000"  # of the window; what the browser keeps for itself is not in the picture
# Without a GPU the browser draws the whole room in many seconds.
DRAWN_LIMIT_S, STOP_S, CALM_S = 120.0, 60.0, 5.0
DRAWN_SHARE, SCENE_WIDTH = 0.1, 940
PATIENT: dict[str, float | str] = {"input_qos": "reliable", "max_queue_length": 100, "pose_buffer_s": 600.0}

# The control beside a label of the panel. viser names neither.
CONTROL = "document.getElementById([...document.querySelectorAll('label')].find(l => l.innerText == '{}').htmlFor)"
# A browser that draws in software is told so.
CLOSE_NOTES = "document.querySelectorAll('.mantine-Notification-closeButton').forEach(b => b.click())"
OPTION = "[...document.querySelectorAll('[role=option]')].find(o => o.innerText == '{}')"


def test_the_room_of_the_demo_in_a_browser(tmp_path, monkeypatch):
    monkeypatch.setenv(profile_variable(), str(ROOT / "config" / "fastdds_shm.xml"))
    folder = Path(PICTURES or tmp_path)
    make_folder(folder)
    plan = make_plan(None, FRAMES, None, tmp_path)
    with live_view() as url, DemoWatcher() as watcher, NodeProcesses(tmp_path) as nodes:
        graph = DemoGraph(nodes, watcher)
        graph.start({"voxel_size": VOXEL_M, "device": "cpu", **PATIENT}, {"device": "cpu"})
        graph.play(plan)
        with open_page(url, SIZE) as page:
            pictures = take_pictures(page, folder)
    for picture in pictures:
        assert drawn_share(picture.read_bytes()) > DRAWN_SHARE
    mesh, latent, uncertainty = (np.asarray(Image.open(picture).convert("RGB"), int) for picture in pictures)
    for first, second in ((mesh, latent), (latent, uncertainty)):
        changed = np.abs(first - second).max(axis=2)[:, :SCENE_WIDTH] > 20
        assert changed.mean() > 0.01


@contextmanager
def live_view() -> Iterator[str]:
    """The address of a running `neuralfusion view`."""
    command = [sys.executable, "-m", "neuralfusion_ros.cli", "view", "--port", "0"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the live view did not start"
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)


def take_pictures(page: Page, folder: Path) -> list[Path]:
    """The mesh, and the latent slice and its uncertainty without it, from the viewpoint that the page begins with."""
    drawn = page.wait(r"(?s)frames.*triangles.*Latent map", DRAWN_SHARE, DRAWN_LIMIT_S)
    assert drawn, f"the map never was on the page, which says: {page.text()}"
    assert f"{FRAMES} frames" in page.text() and "rejected" not in page.text()
    page.run(CLOSE_NOTES)
    pictures = [save(page, folder / "live_view.png")]
    for label in ("Mesh", "Slice of the map"):
        page.run(CONTROL.format(label) + ".click()")
    page.run(CONTROL.format("Its colours") + ".scrollIntoView()")
    pictures.append(save(page, folder / "live_view_latent.png"))
    page.run(CONTROL.format("Its colours") + ".click()")
    time.sleep(CALM_S)
    page.run(OPTION.format("uncertainty") + ".click()")
    pictures.append(save(page, folder / "live_view_uncertainty.png"))
    return pictures


def save(page: Page, path: Path) -> Path:
    """Once the scene, which is left of the panel, no longer changes."""
    before, end_s = None, time.monotonic() + DRAWN_LIMIT_S
    while True:
        picture = Image.open(io.BytesIO(page.picture())).convert("RGB")
        scene = picture.crop((0, 0, SCENE_WIDTH, picture.height)).tobytes()
        if scene == before:
            break
        assert time.monotonic() < end_s, f"{path.name}: the scene does not come to rest"
        before = scene
        time.sleep(CALM_S)
    with new_file(path) as aside:
        picture.quantize(256, Image.Quantize.FASTOCTREE).save(aside, format="PNG", optimize=True)
    return path
