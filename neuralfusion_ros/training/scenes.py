# SPDX-License-Identifier: Apache-2.0
"""Procedural furnished rooms: unions of solids with an exact signed distance outside, and the same as a mesh.

A room has walls, a floor and a ceiling of 10 cm, and 10 to 25 pieces of furniture and clutter, many of them thin.
Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.furniture import AGAINST_WALL, LARGE, SMALL, TILTABLE, Builder, clutter, turned
from neuralfusion_ros.training.solids import Array, Solid, Solids, box, extent, rod, sphere

WALL_M = 0.10
SIZES_M = {"small": (2.2, 3.2), "room": (2.5, 5.0), "hall": (5.0, 9.0)}
"""Shortest and longest wall of each kind of room."""
_CHUNK_ELEMENTS = 1 << 17


@dataclass(frozen=True, eq=False)
class Scene:
    """A union of solids in the world, most of them inside a room.

    T_world_room: (4, 4), the room's frame has its origin on the floor's centre and z up. room_size_m: (3,), inner size.
    """

    solids: tuple[Solid, ...]
    T_world_room: Array
    room_size_m: Array

    @cached_property
    def bounds(self) -> Array:
        """(2, 3) lowest and highest coordinates of the solids in the world, in metres."""
        return np.stack(extent(self.solids))

    @cached_property
    def _batches(self) -> list[tuple[type[Solid], torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Per kind of solid: (3K, 3) world to local rows, (3K, 1) local offsets, (3, K, 1) half sizes."""
        batches = []
        for kind in sorted({type(solid) for solid in self.solids}, key=lambda kind: kind.__name__):
            group = [solid for solid in self.solids if type(solid) is kind]
            rows = np.stack([solid.rotation.T for solid in group], axis=1)
            offsets = np.stack([-solid.rotation.T @ solid.centre for solid in group], axis=1)
            half = np.stack([solid.half for solid in group], axis=1)
            arrays = (rows.reshape(-1, 3), offsets.reshape(-1, 1), half[:, :, None])
            W, b, h = (torch.from_numpy(array).float() for array in arrays)
            batches.append((kind, W, b, h))
        return batches

    def signed_distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) world points to (N,) metres, positive in free space.

        Exact outside. Where solids overlap, the inside value is the deepest solid's, so a lower bound of the depth.
        """
        chunk = max(64, _CHUNK_ELEMENTS // max(len(self.solids), 1))
        return torch.cat([self._distance(part) for part in points.float().split(chunk)])

    def _distance(self, points: torch.Tensor) -> torch.Tensor:
        outside = torch.full((len(points),), torch.inf)
        inside = torch.zeros(len(points))
        for kind, rows, offsets, half in self._batches:
            local = torch.addmm(offsets, rows, points.T).view(3, half.shape[1], -1)
            far, deep = kind.parts(local, half)
            outside = torch.minimum(outside, far.amin(dim=0))
            inside = torch.minimum(inside, deep.amin(dim=0))
        # A point inside any solid has outside = 0, and inside = 0 otherwise: the sum is the union's distance.
        return outside.sqrt_().add_(inside)

    def mesh(self) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Vertices (V, 3) in the world and triangles (T, 3) of all solids, each closed, normals outwards."""
        vertices, triangles, start = [], [], 0
        for solid in self.solids:
            points, faces = solid.mesh()
            vertices.append(points)
            triangles.append(faces + start)
            start += len(points)
        return np.concatenate(vertices).astype(np.float32), np.concatenate(triangles).astype(np.uint32)


def _posed(rng: np.random.Generator, builder: Builder, room: Array) -> Solids:
    """A new piece somewhere on the floor of the room, perhaps tilted, perhaps with its back to a wall."""
    solids = builder(rng)
    if builder in TILTABLE and rng.random() < 0.2:
        tilt = Rotation.from_euler("xy", rng.uniform(-1, 1, 2) * rng.choice([0.15, 1.6])).as_matrix()
        solids = [solid.moved(tilt, np.zeros(3)) for solid in solids]
    at_wall = rng.random() < (0.8 if builder in AGAINST_WALL else 0.2)
    quarter = int(rng.integers(4))
    solids = turned(solids, quarter * np.pi / 2 + rng.normal(0, 0.03) if at_wall else rng.uniform(0, 6.3), (0, 0, 0))
    low, high = extent(solids)
    space = room[:2] / 2 - (high - low)[:2] / 2
    place = rng.uniform(-1, 1, 2) * np.maximum(space, 0)
    if at_wall:
        # A back at +y turned by a quarter q faces +y, -x, -y, +x.
        axis, side = ((1, 1), (0, -1), (1, -1), (0, 1))[quarter]
        place[axis] = side * (max(space[axis], 0) - rng.choice([0.0, rng.uniform(0, 0.08)]))
    shift = np.array([*(place - (high + low)[:2] / 2), -low[2]])
    return [solid.moved(np.eye(3), shift) for solid in solids]


def _furnish(rng: np.random.Generator, room: Array) -> Solids:
    """10 to 25 pieces that leave a spot of 1.1 m free for whoever carries the camera."""
    wanted = int(rng.integers(10, 11 + min(15, int(0.7 * room[0] * room[1]))))
    spot = rng.uniform(-1, 1, 2) * (room[:2] / 2 - 0.65)
    taken = [(spot - 0.55, spot + 0.55)]
    solids: Solids = []
    placed = 0
    for attempt in range(40 * wanted):
        if placed == wanted:
            break
        large = attempt < 10 * wanted and rng.random() < 0.6
        builder = (LARGE if large else SMALL)[rng.integers(len(LARGE if large else SMALL))]
        piece = _posed(rng, builder, room)
        low, high = extent(piece)
        fits = high[2] < room[2] and bool(np.all(high[:2] - low[:2] < room[:2]))
        margin = 0.1 * (high - low)[:2]
        if fits and not any(np.all(low[:2] + margin < b) and np.all(high[:2] - margin > a) for a, b in taken):
            solids += piece
            placed += 1
            taken.append((low[:2], high[:2]))
    return solids + clutter(rng, room[0], room[1], 0.0, int(rng.integers(3, 11)))


def _fixtures(rng: np.random.Generator, room: Array) -> Solids:
    """Pipes and frames on the walls, lamps from the ceiling."""
    x, y, z = room / 2 * [1, 1, 2]
    solids: Solids = []
    for _ in range(int(rng.integers(1, 5))):
        radius, gap = rng.uniform(0.008, 0.05), rng.uniform(0.0, 0.1)
        offset, height = y - radius - gap, rng.uniform(0.1, z - 0.1)
        across = rng.uniform(-0.9, 0.9, 2) * x
        if rng.random() < 0.5:
            pipe = rod((across[0], offset, height), (across[1], offset, height), radius)
        else:
            pipe = rod((across[0], offset, 0), (across[0], offset, z), radius)
        solids += turned([pipe], np.pi * rng.integers(2), (0, 0, 0))
    for _ in range(int(rng.integers(1, 5))):
        thick, width, height = rng.uniform(0.008, 0.05), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.8)
        frame = box((x - thick / 2, rng.uniform(-0.6, 0.6) * y, rng.uniform(1.0, z - 0.5)), (thick, width, height))
        solids += turned([frame], np.pi * rng.integers(2), (0, 0, 0))
    for _ in range(int(rng.integers(0, 3))):
        at, drop, radius = rng.uniform(-0.8, 0.8, 2) * (x, y), rng.uniform(0.1, 0.35), rng.uniform(0.05, 0.12)
        solids += [rod((*at, z - drop), (*at, z), 0.004), sphere((*at, z - drop - 0.8 * radius), radius)]
    return solids


def shell(room: Array) -> Solids:
    """Floor, ceiling and four walls around the inner size of the room."""
    x, y, z = room
    wall, outer = WALL_M, (x + 2 * WALL_M, y + 2 * WALL_M)
    slabs: Solids = [box((0, 0, level), (*outer, wall)) for level in (-wall / 2, z + wall / 2)]
    slabs += [box((side * (x + wall) / 2, 0, z / 2), (wall, outer[1], z + 2 * wall)) for side in (-1, 1)]
    return slabs + [box((0, side * (y + wall) / 2, z / 2), (outer[0], wall, z + 2 * wall)) for side in (-1, 1)]


def random_room(seed: int, size: str = "room") -> Scene:
    """A furnished room. size: 'small', 'room' or 'hall'. The same seed and size give the same room.

    The room stands turned and shifted in the world, so that walls and floor do not favour a voxel grid.
    """
    rng = np.random.default_rng(seed)
    room = np.array([*rng.uniform(*SIZES_M[size], 2), rng.uniform(2.2, 2.8)])
    solids = shell(room) + _furnish(rng, room) + _fixtures(rng, room)
    T_world_room = np.eye(4)
    T_world_room[:3, :3] = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix()
    T_world_room[:3, 3] = rng.uniform(-0.5, 0.5, 3)
    moved = tuple(solid.moved(T_world_room[:3, :3], T_world_room[:3, 3]) for solid in solids)
    return Scene(moved, T_world_room, room)


def tilted(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same scene in a world whose axes lie anyhow, as where the first camera pose is the origin."""
    turn = Rotation.random(random_state=rng).as_matrix()
    T = np.eye(4)
    T[:3, :3] = turn
    moved = tuple(solid.moved(turn, np.zeros(3)) for solid in scene.solids)
    return replace(scene, solids=moved, T_world_room=T @ scene.T_world_room)
