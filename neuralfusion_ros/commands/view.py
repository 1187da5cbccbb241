# SPDX-License-Identifier: Apache-2.0
"""neuralfusion view: the running graph on a web page."""

from __future__ import annotations

import argparse
import os
import signal
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from neuralfusion_ros.commands.dds_profile import set_dds_profile
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.picture_options import add_up_option, up_axis

if TYPE_CHECKING:
    from neuralfusion_ros.commands.view_graph import ViewedGraph
    from neuralfusion_ros.commands.view_page import ViewPage

PORT = 8080
# viser tries a thousand ports from there on.
_LAST_PORT = 64_000
_PERIOD_S = 0.2
_LOOK_PERIOD_S = 1.0
_SILENT_S = 5.0
_EXAMPLE = """example:
  neuralfusion view
  neuralfusion view --port 9000 --namespace robot1

Shows the mesh as it grows, the cameras and their paths, the depth image, a slice of the map, and charts of the
time per frame and of the size of the map. The page is served on this machine alone, without the internet. Run it in
the environment of the nodes, with the same ROS_DOMAIN_ID; it changes nothing in the graph. Ctrl-C ends it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "view",
        help="show a running graph on a web page",
        description="Join the running graph and show its map on a web page.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", metavar="N", type=int, default=PORT, help="of the page; 0 takes any (default %(default)s)"
    )
    add_up_option(parser, "z")
    parser.add_argument("--namespace", metavar="NS", help="of the nodes (default: the only one with a fusion node)")
    parser.add_argument("--fusion", metavar="NAME", default="fusion_node", help="default %(default)s")
    parser.add_argument("--translator", metavar="NAME", default="translator_node", help="default %(default)s")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until Ctrl-C. Raises CommandError."""
    if not 0 <= args.port <= _LAST_PORT:
        raise CommandError(f"--port must lie in 0..{_LAST_PORT}, got {args.port}")
    check_viewer()
    # Processes started in the background of a shell inherit that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    set_dds_profile()
    # Only here, because ROS and torch take a while to import.
    from neuralfusion_ros.commands.view_graph import ViewedGraph
    from neuralfusion_ros.commands.view_page import ViewPage

    up = up_axis(args)
    graph = ViewedGraph(args.fusion, args.translator, args.namespace, int(np.argmax(np.abs(up))))
    with graph, ViewPage(args.port, up) as page:
        taken = f" (port {args.port} is in use)" if args.port not in (0, page.port) else ""
        print(f"view: http://127.0.0.1:{page.port}{taken}", flush=True)
        _show(graph, page)


def check_viewer() -> None:
    """Raises CommandError when the library that serves the page is not installed."""
    if find_spec("viser") is None:
        raise CommandError(
            "the live view needs the library viser, which is not installed: "
            "pip install viser, or, in the folder of the sources, pip install -r requirements-view.txt"
        )


def _show(graph: ViewedGraph, page: ViewPage) -> NoReturn:
    """Endless."""
    begin_s = look_s = time.monotonic()
    told, charted_s = "", 0.0
    while True:
        graph.receive(_PERIOD_S)
        now_s = time.monotonic()
        if now_s >= look_s:
            look_s = now_s + _LOOK_PERIOD_S
            told = _tell(graph, graph.look(), told)
        _pass_on(graph, page)
        heard_s = graph.heard_s.get(graph.fusion, 0.0)
        if heard_s > charted_s:
            charted_s = heard_s
            page.charts.add(heard_s - begin_s, graph.said[graph.fusion])
        page.say(status_text(graph, page.n_triangles, now_s))


def _pass_on(graph: ViewedGraph, page: ViewPage) -> None:
    """What has come to the page."""
    for waiting, show in ((graph.mesh, page.show_mesh), (graph.cameras, page.show_cameras)):
        show(waiting)
        waiting.clear()
    depth_m = graph.take_depth()
    if depth_m is not None:
        page.show_depth(depth_m)
    page.show_slice(graph.slice)


def _tell(graph: ViewedGraph, missing: list[str], told: str) -> str:
    """Prints which nodes are missing, or that none is, when that is not what was told before. Returns it."""
    names, domain = " and ".join(missing), os.environ.get("ROS_DOMAIN_ID", "0")
    text = f"showing {graph.fusion} and {graph.translator}"
    if missing and graph.heard_s.keys() >= set(missing):
        text = f"{names} ended; the page keeps what came"
    elif missing:
        text = f"waiting for {names} in ROS domain {domain}"
    if text != told:
        print(f"view: {text}", flush=True)
    return text


def status_text(graph: ViewedGraph, n_triangles: int, now_s: float) -> str:
    """Markdown: what the fusion node last told, or that it is silent."""
    if graph.fusion not in graph.said:
        return f"Waiting for {graph.fusion}."
    said = graph.said[graph.fusion]
    if said.get("state") != "active":
        return f"{graph.fusion} is {said.get('state', 'silent')}."
    lines = [
        f"**{said.get('integrated')}** frames, **{said.get('ms_p50')}** ms each on {said.get('device')}",
        f"**{n_triangles:,}** triangles",
        f"**{float(said.get('map_bytes', 0)) / 1e6:.1f}** MB in {said.get('blocks')} blocks",
    ]
    lost = {name: int(said.get(name, 0)) for name in ("dropped", "rejected")}
    lines += [f"{count} frames {name}" for name, count in lost.items() if count]
    silence_s = now_s - graph.heard_s[graph.fusion]
    if silence_s > _SILENT_S:
        lines.append(f"*{graph.fusion} has ended, or is silent*")
    return "  \n".join(lines)
