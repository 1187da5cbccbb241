# SPDX-License-Identifier: Apache-2.0
"""neuralfusion fuse: from a recording to a mesh, without ROS."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from neuralfusion_ros.commands.draw_mesh import draw_mesh
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.frame_statistics import FrameStatistics, report, write_json
from neuralfusion_ros.commands.map_options import add_map_options, chosen_device, map_settings
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.commands.read_ahead import read_ahead
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame, Recording, RecordingError
from neuralfusion_ros.mapping.block_grid import OutOfReach
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.mesh_file import write_mesh
from neuralfusion_ros.mapping.mesh_up import note_up
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.model import load_model
from neuralfusion_ros.mapping.new_file import check_writable
from neuralfusion_ros.mapping.poses import Matrix
from neuralfusion_ros.mapping.surface_map import SurfaceMap
from neuralfusion_ros.pictures.viewpoint import up_direction

_EXAMPLE = """example:
  neuralfusion fuse data/kitchen --output kitchen.ply --voxel-size 0.02 --picture kitchen.png --report kitchen.json

Frames with a bad pose, time or size are left out and counted. A depth image that cannot be read ends the command."""

_BLOCKS_AT_A_TIME = 512


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "fuse",
        help="make a mesh from a recording, without ROS",
        description="Fuse the depth images of a recording into a latent map and write its surface as a mesh.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", metavar="INPUT", help="sequence folder, TUM RGB-D folder, rosbag2 folder, .mcap or .db3"
    )
    parser.add_argument("--output", metavar="MESH.ply", type=Path, required=True, help="the mesh to write")
    add_map_options(parser)
    parser.add_argument(
        "--mesh-resolution", metavar="R", type=float, default=1.0,
        help="edge of the mesh's cells in voxels: 1, 0.5 or 0.25 (default 1)",
    )  # fmt: skip
    parser.add_argument("--every", metavar="N", type=int, default=1, help="use only every N-th frame")
    parser.add_argument("--report", metavar="R.json", type=Path, help="write counts, times and sizes here")
    parser.add_argument("--picture", metavar="P.png", type=Path, help="write a picture of the mesh here")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the mesh and what else is asked for, and print a line about it. Raises CommandError and the like."""
    settings = map_settings(args)
    _check_options(args)
    recording = open_recording(args.input)
    device = chosen_device(args)
    mapper = Mapper(load_model(args.model, device), settings, device)
    mapper.warm_up()
    frames, poses = _fuse(recording, args.every, mapper)
    mesh, translate_ms = _translated(mapper, round(1 / args.mesh_resolution))
    if not len(mesh.triangles):
        raise CommandError(f"{args.input}: no surface was found in {len(frames.ms)} frames, so no mesh is written")
    up = up_direction(poses)
    write_mesh(args.output, mesh)
    note_up(args.output, up)
    if args.picture:
        draw_mesh(args.picture, mesh, up)
    content = report(frames, mapper, translate_ms, len(mesh.triangles))
    if args.report:
        write_json(args.report, content)
    print(
        f"{args.output}: {len(mesh.triangles)} triangles from {len(frames.ms)} frames on {device}, "
        f"{content['ms_per_frame']['p50']:.0f} ms per frame (p95 {content['ms_per_frame']['p95']:.0f}), "
        f"map {content['map_bytes'] / 1e6:.1f} MB; rejected frames: {frames.reasons()}"
    )
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if args.every < 1:
        raise CommandError(f"--every must be at least 1, got {args.every}")
    if args.mesh_resolution not in (1, 0.5, 0.25):
        raise CommandError(f"--mesh-resolution must be 1, 0.5 or 0.25, got {args.mesh_resolution:g}")
    for path, suffix in ((args.output, ".ply"), (args.report, ".json"), (args.picture, ".png")):
        if path is not None:
            check_writable(path, suffix)


def _fuse(recording: Recording, every: int, mapper: Mapper) -> tuple[FrameStatistics, list[Matrix]]:
    """Integrates the frames. Returns the statistics and the poses of the integrated ones."""
    statistics = FrameStatistics()
    poses: list[Matrix] = []
    frames = islice(_readable(recording), 0, None, every)
    with progress("fusing", -(-len(recording) // every)) as advance:
        for frame in read_ahead(frames):
            start = time.perf_counter()
            advance()
            try:
                result = mapper.integrate(frame.depth_m, frame.T_world_camera, recording.camera)
            except OutOfReach:
                statistics.rejected["pose out of reach"] += 1
                continue
            if result.rays:
                statistics.ms.append(1000 * (time.perf_counter() - start))
                poses.append(frame.T_world_camera)
            else:
                statistics.rejected["no depth in range"] += 1
            statistics.blocks_refused += result.blocks_refused
    statistics.rejected.update(recording.rejected)
    if not poses:
        raise CommandError(f"{recording.name}: no frame could be integrated; rejected frames: {statistics.reasons()}")
    if statistics.blocks_refused:
        print(f"neuralfusion: the map is full; {statistics.blocks_refused} new blocks were left out", file=sys.stderr)
    return statistics, poses


def _readable(recording: Recording) -> Iterator[Frame]:
    """The frames. Raises RecordingError at the first depth image that cannot be read."""
    where = "at the start"
    for frame in recording:
        _check_readable(recording, where)
        yield frame
        where = f"after the one at {frame.stamp_ns / 1e9:.6f} s"
    _check_readable(recording, where)


def _check_readable(recording: Recording, where: str) -> None:
    if recording.rejected["unreadable image"]:
        raise RecordingError(f"{recording.name}: the depth image {where} cannot be read")


def _translated(mapper: Mapper, subdivision: int) -> tuple[Mesh, float]:
    """The mesh of the whole map, and the time in ms that the translation of its features took."""
    surface = SurfaceMap(mapper.grid, mapper.model.translator, subdivision)
    surface.mark_changed(mapper.take_changed())
    start = time.perf_counter()
    with progress("translating", surface.pending) as advance:
        while surface.pending:
            advance(surface.translate(_BLOCKS_AT_A_TIME))
    translate_ms = 1000 * (time.perf_counter() - start)
    return surface.mesh(), translate_ms
