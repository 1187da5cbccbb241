# SPDX-License-Identifier: Apache-2.0
"""neuralfusion compare: meshes of the same place side by side, and how far each is from a reference."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from neuralfusion_ros.commands.errors import CommandError
from neuralfusion_ros.commands.picture_options import add_picture_options, up_axis, viewpoint
from neuralfusion_ros.commands.progress import PATIENCE_S, Advance, progress
from neuralfusion_ros.evaluation.comparison import (
    LIMIT_M,
    PANEL_SIZE,
    Look,
    comparison_figure,
    reference_scores,
    share_outside,
)
from neuralfusion_ros.evaluation.metrics import MeshScores
from neuralfusion_ros.evaluation.pages import fit_for_json
from neuralfusion_ros.evaluation.score_columns import MESH_COLUMNS
from neuralfusion_ros.evaluation.tables import markdown_table
from neuralfusion_ros.mapping.mesh_file import read_mesh
from neuralfusion_ros.mapping.meshing import Mesh
from neuralfusion_ros.mapping.new_file import check_writable
from neuralfusion_ros.pictures.figure_file import save_figure

_EXAMPLE = """examples:
  neuralfusion compare ours.ply tsdf.ply --reference scan.ply --output compared.png
  neuralfusion compare monday.ply friday.ply --names Monday,Friday --output compared.png
  neuralfusion compare old.obj new.obj --output compared.png --up=-y   # if the picture lies on its side

All meshes must lie in the same frame, in metres; nothing is aligned.
accuracy      mean distance from the mesh to the reference
completeness  mean distance from the reference to the mesh
F-score       harmonic mean of the shares of both that lie within a distance
What lies more than 10 cm outside the reference's bounding box is neither counted nor drawn. All of the reference
counts for the completeness, also what no camera saw."""

_SCORING, _DRAWING = 2, 3  # steps for each mesh that take about the same time


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "compare",
        help="show meshes side by side, and how far each is from a reference",
        description="Compare meshes with each other by eye, and with a reference in numbers and colours.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("meshes", metavar="MESH", nargs="+", type=Path, help="a .ply, .obj or .stl file")
    parser.add_argument("--reference", metavar="MESH", type=Path, help="the true surface, or what stands for it")
    parser.add_argument("--output", metavar="P.png", type=Path, help="draw the meshes side by side into this file")
    parser.add_argument("--names", metavar="N,N", help="titles (default: from the file names)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON and nothing else")
    parser.add_argument(
        "--limit", metavar="M", type=float, default=LIMIT_M,
        help="distance at the end of the colour bar, metres (default %(default)s)",
    )  # fmt: skip
    add_picture_options(parser, PANEL_SIZE)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the numbers and write the picture. Raises CommandError, MeshFileError and NotWritable."""
    names = _names(args)
    if not 0.001 <= args.limit <= 10:
        raise CommandError(f"--limit must lie in 0.001..10 metres, got {args.limit:g}")
    if args.output:
        check_writable(args.output, ".png")
    reference = read_mesh(args.reference) if args.reference else None
    meshes = [read_mesh(path) for path in args.meshes]
    steps = (_SCORING if reference else 0) + (_DRAWING if args.output else 0)
    with progress("comparing", steps * len(meshes), PATIENCE_S, shown=not args.json and steps > 0) as advance:
        scores = _scored(meshes, reference, advance) if reference else []
        if args.output:
            up = up_axis(args, *([args.reference] if args.reference else []), *args.meshes)
            look = Look(up, args.size, viewpoint(args), args.both_sides, args.limit)
            figure = comparison_figure(names, meshes, look, reference, scores, lambda: advance(_DRAWING))
            save_figure(args.output, figure)
    if args.json:
        print(_json(args, names, meshes, scores))
    else:
        print("\n".join([_table(names, meshes, scores), *(_warnings(names, meshes, reference) if reference else [])]))
    return 0


def _names(args: argparse.Namespace) -> list[str]:
    """A title for each mesh: as asked, or the file's name, or the path where two files have the same name."""
    if args.names is None:
        stems = [path.stem for path in args.meshes]
        return stems if len(set(stems)) == len(stems) else [str(path) for path in args.meshes]
    names = [name.strip() for name in args.names.split(",")]
    if len(names) != len(args.meshes) or not all(names):
        raise CommandError(f"--names: expected {len(args.meshes)} names with commas between them, got {args.names}")
    return names


def _scored(meshes: Sequence[Mesh], reference: Mesh, advance: Advance) -> list[MeshScores]:
    scores = []
    for mesh in meshes:
        scores += reference_scores([mesh], reference)
        advance(_SCORING)
    return scores


def _json(args: argparse.Namespace, names: list[str], meshes: list[Mesh], scores: list[MeshScores]) -> str:
    """Distances that are infinite, of a mesh far from the reference, become null."""
    every: list[dict[str, object]] = [
        {"name": name, "file": str(path), "triangles": len(mesh.triangles)}
        for name, path, mesh in zip(names, args.meshes, meshes, strict=True)
    ]
    for entry, score in zip(every, scores, strict=False):
        entry.update(asdict(score))
    content = {"reference": str(args.reference) if args.reference else None, "meshes": every}
    return json.dumps(fit_for_json(content), indent=2, allow_nan=False)


def _table(names: list[str], meshes: list[Mesh], scores: list[MeshScores]) -> str:
    header = ["mesh", "triangles", *(column.title for column in MESH_COLUMNS if scores)]
    rows = [[name, str(len(mesh.triangles))] for name, mesh in zip(names, meshes, strict=True)]
    for row, score in zip(rows, scores, strict=False):
        row += [column.text(score) for column in MESH_COLUMNS]
    return markdown_table(header, rows).rstrip()


def _warnings(names: list[str], meshes: list[Mesh], reference: Mesh) -> Iterator[str]:
    for name, mesh in zip(names, meshes, strict=True):
        if (share := share_outside(mesh, reference)) == 1:
            yield f"{name} lies outside the reference: are both in the same frame, in metres?"
        elif share > 0.5:
            yield f"{share:.0%} of {name} lie outside the reference's bounding box and were not counted"
