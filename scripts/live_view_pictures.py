# SPDX-License-Identifier: Apache-2.0
"""Takes the pictures of the live view for docs/live_view.md.

`.venv/bin/python -m scripts.live_view_pictures [FOLDER]` maps the demo's room through the real graph, opens the page in
Chromium, which must be installed, and writes live_view.png, live_view_latent.png and live_view_uncertainty.png.
"""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from neuralfusion_ros.commands.demo_plan import make_plan
from neuralfusion_ros.commands.node_processes import NodeProcesses, set_ros_environment
from neuralfusion_ros.mapping.new_file import new_file
from scripts.browser import PROGRAM, Page, open_page

FRAMES, VOXEL_M = 100, 0.03
SIZE = "1280x1000"  # of the window; what the browser keeps for itself is not in the picture
DOCS = Path(__file__).resolve().parents[1] / "docs" / "pictures"
# Without a GPU the browser draws the whole room in many seconds.
DRAWN_LIMIT_S, STOP_S, CALM_S = 300.0, 60.0, 5.0
DRAWN_SHARE, SCENE_WIDTH = 0.1, 940
PATIENT: dict[str, float | str] = {"input_qos": "reliable", "max_queue_length": 100, "pose_buffer_s": 600.0}

# The control beside a label of the panel. viser names neither.
CONTROL = "document.getElementById([...document.querySelectorAll('label')].find(l => l.innerText == '{}').htmlFor)"
# A browser that draws in software is told so.
CLOSE_NOTES = "document.querySelectorAll('.mantine-Notification-closeButton').forEach(b => b.click())"
OPTION = "[...document.querySelectorAll('[role=option]')].find(o => o.innerText == '{}')"


def main() -> int:
    """Runs the graph, and takes the pictures while its nodes still run."""
    if PROGRAM is None:
        print("the pictures need chromium, which is not installed", file=sys.stderr)
        return 2
    set_ros_environment()
    from neuralfusion_ros.commands.demo_graph import DemoGraph  # ROS reads the environment when it is imported
    from neuralfusion_ros.commands.demo_watcher import DemoWatcher

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    with tempfile.TemporaryDirectory() as work:
        plan = make_plan(None, FRAMES, None, Path(work))
        with live_view() as url, DemoWatcher() as watcher, NodeProcesses(Path(work)) as nodes:
            graph = DemoGraph(nodes, watcher)
            graph.start({"voxel_size": VOXEL_M, "device": "cpu", **PATIENT}, {"device": "cpu"})
            graph.play(plan)
            with open_page(url, SIZE) as page:
                take_pictures(page, folder)
    return 0


@contextmanager
def live_view() -> Iterator[str]:
    """The address of a running `neuralfusion view`."""
    command = [sys.executable, "-m", "neuralfusion_ros.cli", "view", "--port", "0"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if not found:
            raise RuntimeError("the live view did not start")
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)


def take_pictures(page: Page, folder: Path) -> None:
    """All three, from the viewpoint that the page begins with."""
    if not page.wait(r"(?s)frames.*triangles.*Latent map", DRAWN_SHARE, DRAWN_LIMIT_S):
        raise RuntimeError(f"the map never was on the page, which says: {page.text()}")
    page.run(CLOSE_NOTES)
    save(page, folder / "live_view.png")
    for label in ("Mesh", "Slice of the map"):
        page.run(CONTROL.format(label) + ".click()")
    page.run(CONTROL.format("Its colours") + ".scrollIntoView()")
    save(page, folder / "live_view_latent.png")
    page.run(CONTROL.format("Its colours") + ".click()")
    time.sleep(CALM_S)
    page.run(OPTION.format("uncertainty") + ".click()")
    save(page, folder / "live_view_uncertainty.png")


def save(page: Page, path: Path) -> None:
    """Once the scene, which is left of the panel, no longer changes."""
    before, end_s = None, time.monotonic() + DRAWN_LIMIT_S
    while True:
        picture = Image.open(io.BytesIO(page.picture())).convert("RGB")
        scene = picture.crop((0, 0, SCENE_WIDTH, picture.height)).tobytes()
        if scene == before:
            break
        if time.monotonic() > end_s:
            raise RuntimeError(f"{path.name}: the scene does not come to rest")
        before = scene
        time.sleep(CALM_S)
    with new_file(path) as aside:
        picture.quantize(256, Image.Quantize.FASTOCTREE).save(aside, format="PNG", optimize=True)


if __name__ == "__main__":
    sys.exit(main())
