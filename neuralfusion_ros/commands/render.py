# SPDX-License-Identifier: Apache-2.0
"""neuralfusion render: a picture of a mesh, without a display."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuralfusion_ros.commands.draw_mesh import draw_mesh
from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.picture_options import add_picture_options, up_axis, viewpoint
from neuralfusion_ros.mapping.mesh_file import read_coloured_mesh
from neuralfusion_ros.mapping.new_file import check_writable
from neuralfusion_ros.pictures.front_faces import Floats
from neuralfusion_ros.pictures.picture import SIZE
from neuralfusion_ros.pictures.surface_colours import Paint, by_normal, by_vertex, plain

_EXAMPLE = """examples:
  neuralfusion render kitchen.ply --output kitchen.png
  neuralfusion render kitchen.ply --output corner.png --azimuth 120 --elevation 20 --zoom 2 --size 1920x1080
  neuralfusion render scan.ply --output scan.png --up=-y   # if the picture lies on its side

Needs neither a display nor a GPU. Triangles that face away are left out, so one looks into a room through its ceiling
and near walls."""

_COLOURS = ("auto", "height", "normal", "plain", "vertices")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "render",
        help="make a picture of a mesh, without a display",
        description="Draw a mesh on the CPU and write a PNG file.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mesh", metavar="MESH", type=Path, help="a .ply, .obj or .stl file")
    parser.add_argument("--output", metavar="P.png", type=Path, required=True, help="the picture to write")
    parser.add_argument(
        "--colour", "--color", choices=_COLOURS, default="auto",
        help="by height, by the direction of the surface, one colour, or the file's colours of vertices; "
        "auto takes these if the file has any, else the height (default %(default)s)",
    )  # fmt: skip
    add_picture_options(parser, SIZE)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the picture and print a line about it. Raises CommandError, MeshFileError and NotWritable."""
    check_writable(args.output, ".png")
    mesh, colours = read_coloured_mesh(args.mesh)
    paint = _paint(args, colours)
    draw_mesh(args.output, mesh, up_axis(args, args.mesh), args.size, viewpoint(args), paint, args.both_sides)
    print(f"{args.output}: {args.size[0]}x{args.size[1]} pixels, {len(mesh.triangles)} triangles")
    return 0


def _paint(args: argparse.Namespace, colours: Floats | None) -> Paint | None:
    """What the surface is painted with; None stands for the height."""
    if args.colour == "vertices" and colours is None:
        raise CommandError(f"{args.mesh} has no colours of vertices; take another --colour")
    if colours is not None and args.colour in ("auto", "vertices"):
        return by_vertex(colours)
    return {"normal": by_normal, "plain": plain}.get(args.colour)
