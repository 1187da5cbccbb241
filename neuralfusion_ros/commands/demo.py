# SPDX-License-Identifier: Apache-2.0
"""neuralfusion demo: a recording through the whole ROS graph, as three processes."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from neuralfusion_ros.commands.demo_plan import FRAMES_PER_S, OWN_FRAMES, DemoPlan, make_plan
from neuralfusion_ros.commands.demo_view import live_view, stay
from neuralfusion_ros.commands.draw_mesh import draw_mesh
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.frame_statistics import write_json
from neuralfusion_ros.commands.map_options import add_map_options, chosen_device, map_settings
from neuralfusion_ros.commands.node_processes import NodeFailure, NodeProcesses, set_ros_environment
from neuralfusion_ros.commands.view import check_viewer
from neuralfusion_ros.mapping.mesh_file import MeshFileError, read_mesh
from neuralfusion_ros.mapping.mesh_up import note_up
from neuralfusion_ros.mapping.meshing import EMPTY_MESH, Mesh
from neuralfusion_ros.mapping.model import load_model

_EXAMPLE = """examples:
  neuralfusion demo
  neuralfusion demo data/kitchen --output kitchen_demo --voxel-size 0.03
  neuralfusion demo --view

Without INPUT the demo makes its own recording: a room with thin structures, seen by a noisy depth camera.
DIR gets mesh.ply, mesh.png, summary.json, the logs of the nodes and, if one was made, the recording.
What an earlier demo left there is replaced."""

# A robot drops old images when it is too slow. The demo is to show the whole recording on a busy machine, too.
_PATIENT: dict[str, float | str] = {"input_qos": "reliable", "max_queue_length": 100, "pose_buffer_s": 600.0}
_MESH, _PICTURE, _SUMMARY = "mesh.ply", "mesh.png", "summary.json"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="run the whole ROS graph on a recording, its own or yours",
        description="Replay a recording into fusion_node and translator_node, each a process of its own.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", nargs="?", type=Path, help="a recording, as for `fuse`")
    parser.add_argument("--output", metavar="DIR", type=Path, default=Path("demo_output"), help="(default %(default)s)")
    parser.add_argument("--frames", metavar="N", type=int, help=f"only so many frames (own recording: {OWN_FRAMES})")
    parser.add_argument(
        "--rate", metavar="X", type=float,
        help=f"speed of the replay (default: as recorded, but at most {FRAMES_PER_S:g} frames/s)",
    )  # fmt: skip
    parser.add_argument("--view", action="store_true", help="show it on a web page, as `view` does, until Ctrl-C")
    add_map_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo. Returns 0, or 1 when something did not work. Raises CommandError and the like for bad input."""
    _check_options(args)
    output: Path = args.output.absolute()
    set_ros_environment()
    begin_s = time.monotonic()
    plan = make_plan(args.input, args.frames, args.rate, output)
    output.mkdir(parents=True, exist_ok=True)
    for name in (_MESH, _PICTURE, _SUMMARY):
        (output / name).unlink(missing_ok=True)
    with live_view(args.view, plan.up) as view:
        code = _run(args, output, plan, begin_s)
        if code == 0:
            stay(view)
    return code


def _run(args: argparse.Namespace, output: Path, plan: DemoPlan, begin_s: float) -> int:
    # ROS reads the environment when it is imported.
    from neuralfusion_ros.commands.demo_graph import DemoGraph
    from neuralfusion_ros.commands.demo_summary import first_problem, print_summary, summarise
    from neuralfusion_ros.commands.demo_watcher import DemoWatcher

    try:
        with DemoWatcher() as watcher, NodeProcesses(output) as nodes:
            graph = DemoGraph(nodes, watcher)
            graph.start(*_parameters(args, output / _MESH))
            replay_s = graph.play(plan)
            graph.save_mesh()
            exit_codes = nodes.stop()
    except NodeFailure as failure:
        return _failed(str(failure))
    mesh = _written_mesh(output / _MESH)
    if len(mesh.triangles):
        note_up(output / _MESH, plan.up)
        draw_mesh(output / _PICTURE, mesh, plan.up)
    summary = summarise(watcher, plan.frames, len(mesh.triangles), exit_codes)
    summary |= {"voxel_size_m": args.voxel_size, "replay_s": replay_s, "wall_s": round(time.monotonic() - begin_s, 1)}
    write_json(output / _SUMMARY, summary)
    print_summary(summary)
    if problem := first_problem(summary):
        return _failed(f"{problem}; see {nodes.log(problem.split()[0])}")
    print(f"written: {', '.join(str(args.output / name) for name in (_MESH, _PICTURE, _SUMMARY))}")
    return 0


def _check_options(args: argparse.Namespace) -> None:
    """What the nodes would refuse is refused here, in one line."""
    if args.output.exists() and not args.output.is_dir():
        raise CommandError(f"{args.output} is not a folder")
    map_settings(args)
    load_model(args.model, chosen_device(args))
    if args.view:
        check_viewer()
    if args.frames is not None and args.frames < 1:
        raise CommandError(f"--frames must be at least 1, got {args.frames}")
    if args.rate is not None and not 0.01 <= args.rate <= 100:
        raise CommandError(f"--rate must lie in 0.01..100, got {args.rate}")


def _parameters(args: argparse.Namespace, mesh: Path) -> tuple[dict[str, float | str], dict[str, float | str]]:
    """Of the fusion node and of the translator node."""
    common: dict[str, float | str] = {"model": args.model, "device": args.device}
    fusion = {"voxel_size": args.voxel_size, "max_depth": args.max_depth, **_PATIENT}
    return common | fusion, common | {"map_directory": str(mesh.parent), "mesh_name": mesh.stem}


def _written_mesh(path: Path) -> Mesh:
    """What the translator wrote; if that is no mesh, an empty one."""
    try:
        return read_mesh(path)
    except MeshFileError:
        return EMPTY_MESH


def _failed(text: str) -> int:
    print(f"neuralfusion: the demo failed: {text}", file=sys.stderr)
    return 1
