# SPDX-License-Identifier: Apache-2.0
"""neuralfusion view: what it says, and its page in a real browser, fed by a small graph in this process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from neuralfusion_ros import cli
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.meshing import EMPTY_MESH, Mesh
from neuralfusion_ros.messages.depth_image import encode_depth
from neuralfusion_ros.messages.line_markers import CameraTrack, camera_markers_bytes
from neuralfusion_ros.nodes.diagnostics import Report, diagnostic_array
from neuralfusion_ros.nodes.mesh_stream import MeshStream

BROWSER = Path(__file__).parents[2] / "scripts" / "browser.py"
NO_VIEWER = importlib.util.find_spec("viser") is None
NO_BROWSER = not (shutil.which("chromium") or shutil.which("chromium-browser"))
needs_viewer = pytest.mark.skipif(NO_VIEWER, reason="needs viser (requirements-view.txt)")


class Graph:
    """Publishers with the names and types of the two nodes."""

    def __init__(self):
        rclpy.init(args=[])
        quiet = {"start_parameter_services": False, "enable_rosout": False}
        self.fusion, self.translator = (rclpy.create_node(f"{name}_node", **quiet) for name in ("fusion", "translator"))
        self.mesh = self.translator.create_publisher(MarkerArray, "~/mesh", 100)
        self.camera = self.fusion.create_publisher(MarkerArray, "~/camera", 1)
        self.blocks = self.fusion.create_publisher(PointCloud2, "latent_blocks", 10)
        self.diagnostics = self.fusion.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.fusion.create_subscription(Image, "depth/image", lambda _: None, 1)
        self.image = self.translator.create_publisher(Image, "depth/image", 1)

    def send(self, stream):
        """A frame's worth of everything."""
        for message in stream.take("odom", 0):
            self.mesh.publish(message)
        values = {"state": "active", "integrated": 7, "ms_p50": 31.5, "ms_p95": 40.0, "map_bytes": 2_500_000}
        values |= {"blocks": 123, "device": "cpu"}
        said = diagnostic_array(
            "fusion_node", "/fusion_node", self.fusion.get_clock().now().to_msg(), Report("", values=values)
        )
        self.diagnostics.publish(said)
        camera, T = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5), np.eye(4)
        T[:3, :3] = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # looks along x
        path = np.array([[-0.5, 0, 0], [0.0, 0, 0]])
        self.camera.publish(camera_markers_bytes("odom", 0, [CameraTrack(0, camera, T, path)]))
        self.image.publish(encode_depth(np.full((48, 64), 1.5, np.float32), 0, "camera"))

    def close(self):
        for node in (self.fusion, self.translator):
            node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def view(tmp_path, root):
    """Starts the command; `said` waits for a line of its output."""
    output = tmp_path / "output.txt"
    running = []

    def start(*words):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
        command = [sys.executable, "-m", "neuralfusion_ros.cli", "view", *map(str, words)]
        process = subprocess.Popen(command, env=env, stdout=output.open("w"), stderr=subprocess.STDOUT)
        running.append(process)

        def said(pattern, limit_s=60.0):
            end_s = time.monotonic() + limit_s
            while not (found := re.search(pattern, output.read_text())):
                assert process.poll() is None and time.monotonic() < end_s, output.read_text()
                time.sleep(0.05)
            return found

        return process, said

    yield start
    for process in running:
        process.kill()
        process.wait()


def wall(x_m):
    """A square of 3 m that faces a camera at the origin which looks along x."""
    corners = np.array([[x_m, y, z] for y, z in ((-1.5, -1.5), (1.5, -1.5), (1.5, 1.5), (-1.5, 1.5))], np.float32)
    return Mesh(corners, np.array([[0, 2, 1], [0, 3, 2]], np.int32))


def test_bad_options_are_one_line(capsys):
    assert cli.main(["view", "--port", "70000"]) == 2
    assert capsys.readouterr().err == "neuralfusion: error: --port must lie in 0..64000, got 70000\n"


def test_without_the_library_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("neuralfusion_ros.commands.view.find_spec", lambda name: None)
    for words in (["view"], ["demo", "--view"]):
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "pip install" in line and "viser" in line


@needs_viewer
def test_it_takes_another_port_waits_for_the_graph_and_ends_with_ctrl_c(view):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process, said = view("--port", port)
        assert int(said(r"view: http://127\.0\.0\.1:(\d+) \(port \d+ is in use\)\n")[1]) != port
        said(rf"view: waiting for /fusion_node and /translator_node in ROS domain {os.environ['ROS_DOMAIN_ID']}\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert len(said("(?s).*")[0].splitlines()) == 2


@needs_viewer
def test_pages_of_strangers_may_not_read_the_view():
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    from neuralfusion_ros.commands.view_page import ViewPage

    def first_message(origin):
        # What the page asks viser for.
        subprotocol = f"viser-v{importlib.metadata.version('viser')}"
        with connect(f"ws://127.0.0.1:{page.port}", origin=origin, subprotocols=[subprotocol]) as socket:
            return socket.recv(timeout=20)

    with ViewPage(0) as page:
        for stranger in (
            "https://example.com",
            f"http://rebound.example:{page.port}",
            "http://127.0.0.1.example",
            "null",
        ):
            with pytest.raises(InvalidStatus, match="403"):
                first_message(stranger)
        for own in (f"http://127.0.0.1:{page.port}", "http://localhost:9000", None):
            assert first_message(own)


@needs_viewer
@pytest.mark.skipif(NO_BROWSER, reason="needs chromium")
def test_the_page_shows_the_map_in_a_browser(graph, view, tmp_path):
    process, said = view("--port", 0)
    url = said(r"http://127\.0\.0\.1:\d+")[0]
    said("showing /fusion_node and /translator_node")
    stream = MeshStream()
    stream.add({(0, 0, 0): wall(2.0), (9, 9, 9): wall(8.0), (5, 5, 5): wall(5.0)})
    graph.send(stream)
    stream.add({(5, 5, 5): EMPTY_MESH})
    picture = tmp_path / "page.png"
    command = [sys.executable, str(BROWSER), url, str(picture), "(?s)4 triangles.*Latent map", "800x600", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as browser:
        while browser.poll() is None:
            stream.add({(0, 0, 0): wall(2.0)})
            graph.send(stream)
            time.sleep(0.2)
        text = browser.communicate()[0]
    assert browser.returncode == 0, "no wall on the page: " + text + said("(?s).*")[0]
    assert process.poll() is None
    for words in ("7 frames, 31.5 ms each on cpu", "2.5 MB in 123 blocks", "Depth, 1.5 m (red)", "Latent map (MB)"):
        assert words in text
