# SPDX-License-Identifier: Apache-2.0
"""Places to measure in: exact frames and exact geometry, from a folder or made from a seed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame, RecordingError
from neuralfusion_ros.evaluation.experiment import ExperimentError
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.mesh_file import read_mesh
from neuralfusion_ros.training.camera_paths import hand_path
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import SIZES_M, Scene, random_room

MESH_NAME = "gt_mesh.ply"
PROCEDURAL = "procedural:"
PROCEDURAL_FRAMES = 100
_FOCAL_WIDTHS = 0.82
# Training counts its rooms from small seeds: these rooms were never trained on.
_FIRST_SEED = 1 << 40
_DEFAULT_ROOMS = ("procedural:0", "procedural:1")

T = TypeVar("T")
NumberedPose = tuple[int, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Place:
    """frames: exact depth, with their numbers in the sequence, from which noise is made. mesh: the exact geometry."""

    name: str
    camera: PinholeCamera
    frames: list[tuple[int, Frame]]
    mesh: Triangles


def data_folder() -> Path:
    """Where sequences and objects of this project's developers are, if anywhere."""
    beside_source = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("NEURALFUSION_TEST_DATA", beside_source))


def default_rooms() -> tuple[str, ...]:
    """The synthetic rooms of the data folder; without them two procedural ones."""
    found = tuple(str(path.parent) for path in sorted(data_folder().glob(f"synth_room_*/{MESH_NAME}")))
    return found or _DEFAULT_ROOMS


def open_place(source: str, frames: int | None, image_size: tuple[int, int]) -> Place:
    """A sequence folder with exact mesh, its name in the data folder, or 'procedural:SEED' or 'procedural:SEED:SIZE'.

    frames: that many, spread evenly over the sequence, or all. image_size: of procedural rooms.
    """
    if source.startswith(PROCEDURAL):
        return procedural_place(source, frames, image_size)
    folder = Path(source)
    if not folder.exists() and (data_folder() / source).is_dir():
        folder = data_folder() / source
    recording = open_recording(folder)
    if not (folder / MESH_NAME).exists():
        raise RecordingError(f"{folder} has no {MESH_NAME}; only synthetic sequences with exact geometry can be used")
    clean = spread(list(enumerate(recording)), frames)
    mesh = read_mesh(folder / MESH_NAME)
    return Place(folder.resolve().name, recording.camera, clean, Triangles(mesh.vertices, mesh.triangles))


def procedural_place(source: str, frames: int | None, image_size: tuple[int, int]) -> Place:
    """A furnished room and a path through it, both from the seed in 'procedural:SEED[:SIZE]'."""
    seed, _, size = source.removeprefix(PROCEDURAL).partition(":")
    if not seed.isdigit() or (size and size not in SIZES_M):
        raise ExperimentError(f"expected procedural:SEED or procedural:SEED:{'|'.join(SIZES_M)}, got {source}")
    try:
        scene = random_room(_FIRST_SEED + int(seed), size or "room")
        poses = hand_path(scene, np.random.default_rng([_FIRST_SEED + int(seed), 1]), PROCEDURAL_FRAMES)
    except ValueError as error:
        raise ExperimentError(f"{source}: {error}; take another seed") from error
    name = source.replace(":", "_")
    return rendered(name, scene, spread(list(enumerate(poses)), frames), plain_camera(image_size))


def rendered(name: str, scene: Scene, poses: Sequence[NumberedPose], camera: PinholeCamera) -> Place:
    """The scene seen from numbered poses, (4, 4) T_world_camera each."""
    vertices, triangles = scene.mesh()
    return rendered_mesh(name, Triangles(vertices, triangles.astype(np.int64)), poses, camera)


def rendered_mesh(name: str, mesh: Triangles, poses: Sequence[NumberedPose], camera: PinholeCamera) -> Place:
    """The mesh seen from numbered poses."""
    renderer = _renderer(mesh)
    frames = [(number, Frame(number * 33_333_333, renderer.render(camera, pose), pose)) for number, pose in poses]
    return Place(name, camera, frames, mesh)


def seen_with(place: Place, camera: PinholeCamera) -> Place:
    """The same place from the same poses with another camera."""
    renderer = _renderer(place.mesh)
    frames = [
        (number, replace(frame, depth_m=renderer.render(camera, frame.T_world_camera)))
        for number, frame in place.frames
    ]
    return replace(place, camera=camera, frames=frames)


def plain_camera(image_size: tuple[int, int]) -> PinholeCamera:
    """A camera with a horizontal field of view of 63 degrees that looks through the middle of its image."""
    width, height = image_size
    focal = _FOCAL_WIDTHS * width
    return PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def spread(items: Sequence[T], count: int | None) -> list[T]:
    """`count` of the items, evenly spread and in order; all when there are not more."""
    if count is None or count >= len(items):
        return list(items)
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, count)]


def _renderer(mesh: Triangles) -> DepthRenderer:
    return DepthRenderer(mesh.vertices.astype(np.float32), mesh.triangles.astype(np.uint32))
