# SPDX-License-Identifier: Apache-2.0
"""Single objects in a cube, seen from all around, as the paper does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.evaluation.experiment import ExperimentError
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.places import PROCEDURAL, data_folder, spread
from neuralfusion_ros.training.furniture import LARGE, SMALL
from neuralfusion_ros.training.scenes import Scene

PADDING = 0.1
"""Empty part of the cube on each side of the object."""
_FIRST_SEED = 1 << 41


def default_objects(count: int) -> tuple[str, ...]:
    """Files of the data folder, half of each of its sets and spread over them; without them procedural objects."""
    folders = [sorted(folder.glob("*.npz")) for folder in sorted((data_folder() / "objects").glob("*/"))]
    shares = [count // max(len(folders), 1) + (k < count % max(len(folders), 1)) for k in range(len(folders))]
    found = [str(path) for files, share in zip(folders, shares, strict=True) for path in spread(files, share) if share]
    return tuple(found) or tuple(f"{PROCEDURAL}{seed}" for seed in range(count))


def load_object(source: str) -> tuple[str, Triangles]:
    """Name and mesh of an .npz file with `vertices` (V, 3) and `faces` (T, 3), or of 'procedural:SEED'."""
    if source.startswith(PROCEDURAL):
        return source.replace(":", "_"), _procedural(source.removeprefix(PROCEDURAL))
    try:
        with np.load(source, allow_pickle=False) as arrays:
            mesh = Triangles(arrays["vertices"].astype(np.float64), arrays["faces"].astype(np.int64))
    except (OSError, ValueError, KeyError) as error:
        raise ExperimentError(f"cannot read the object {source}: {error}") from error
    if not len(mesh.triangles) or not np.isfinite(mesh.vertices).all():
        raise ExperimentError(f"the object {source} has no triangles, or vertices that are not finite")
    return Path(source).stem, mesh


def in_cube(mesh: Triangles, edge_m: float) -> Triangles:
    """The object scaled into a cube around the origin with edges of `edge_m`, with PADDING on each side."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    scale = (1 - 2 * PADDING) * edge_m / float((high - low).max())
    return Triangles((mesh.vertices - (low + high) / 2) * scale, mesh.triangles)


def views_around(count: int, distance_m: float) -> npt.NDArray[np.float64]:
    """(count, 4, 4) T_world_camera, evenly on a sphere (Fibonacci's) and looking at its centre."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    for k, pose in enumerate(poses):
        z = 1 - 2 * (k + 0.5) / count
        angle = k * np.pi * (3 - 5**0.5)
        outwards = np.array([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z])
        right = np.cross(-outwards, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        pose[:3, :3] = np.stack([right, np.cross(-outwards, right), -outwards], axis=1)
        pose[:3, 3] = distance_m * outwards
    return poses


def _procedural(seed: str) -> Triangles:
    """A piece of furniture."""
    if not seed.isdigit():
        raise ExperimentError(f"expected {PROCEDURAL}SEED, got {PROCEDURAL}{seed}")
    rng = np.random.default_rng(_FIRST_SEED + int(seed))
    builders = LARGE + SMALL
    solids = builders[rng.integers(len(builders))](rng)
    vertices, triangles = Scene(tuple(solids), np.eye(4), np.ones(3)).mesh()
    return Triangles(vertices.astype(np.float64), triangles.astype(np.int64))
