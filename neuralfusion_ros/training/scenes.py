# SPDX-License-Identifier: Apache-2.0
"""Procedural furnished rooms: unions of solids with an exact signed distance outside, and the same as a mesh.

A room has walls, a floor and a ceiling of 10 cm, and 10 to 25 pieces of furniture and clutter, many of them thin.
Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Solids = list["Solid"]
WALL_M = 0.10
SIZES_M = {"small": (2.2, 3.2), "room": (2.5, 5.0), "hall": (5.0, 9.0)}
"""Shortest and longest wall of each kind of room."""
_CHUNK_ELEMENTS = 1 << 17


@dataclass(frozen=True, eq=False)
class Solid:
    """A solid around `centre` (3,) with half sizes `half` (3,); `rotation` (3, 3) turns its own axes to the world's."""

    centre: Array
    half: Array
    rotation: Array

    def moved(self, rotation: Array, translation: Array) -> Solid:
        """The solid after p -> rotation @ p + translation."""
        return replace(self, centre=rotation @ self.centre + translation, rotation=rotation @ self.rotation)

    @staticmethod
    def parts(local: torch.Tensor, half: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared distance outside and signed distance inside, both (K, N), of N points in K solids' axes.

        local: (3, K, N) overwritten. half: (3, K, 1). The inside distance is 0 for points outside.
        """
        raise NotImplementedError

    def reach(self) -> Array:
        """(3,) how far the solid extends from its centre along the world's axes."""
        raise NotImplementedError

    def local_mesh(self) -> tuple[Array, NDArray[np.int64]]:
        """Vertices (V, 3) in the solid's own axes and triangles (T, 3), normals outwards."""
        raise NotImplementedError

    def mesh(self) -> tuple[Array, NDArray[np.int64]]:
        """Vertices (V, 3) in the world and triangles (T, 3)."""
        vertices, triangles = self.local_mesh()
        return vertices @ self.rotation.T + self.centre, triangles


class Box(Solid):
    """An oriented box with half edge lengths `half`."""

    @staticmethod
    def parts(local: torch.Tensor, half: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        excess = local.abs_().sub_(half)
        inside = torch.maximum(torch.maximum(excess[0], excess[1]), excess[2]).clamp_(max=0)
        excess.clamp_(min=0)
        outside = excess[0].square_().addcmul_(excess[1], excess[1]).addcmul_(excess[2], excess[2])
        return outside, inside

    def reach(self) -> Array:
        return np.abs(self.rotation) @ self.half

    def local_mesh(self) -> tuple[Array, NDArray[np.int64]]:
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
        faces = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
        triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
        return corners * self.half, np.array(triangles, dtype=np.int64)


class Cylinder(Solid):
    """A cylinder along its z axis: `half` is (radius, radius, half length)."""

    @staticmethod
    def parts(local: torch.Tensor, half: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        across = local[0].square_().addcmul_(local[1], local[1]).sqrt_().sub_(half[0])
        along = local[2].abs_().sub_(half[2])
        inside = torch.maximum(across, along).clamp_(max=0)
        return across.clamp_(min=0).square_().add_(along.clamp_(min=0).square_()), inside

    def reach(self) -> Array:
        axis = np.abs(self.rotation[:, 2])
        return axis * self.half[2] + self.half[0] * np.sqrt(np.maximum(1 - axis**2, 0))

    def local_mesh(self) -> tuple[Array, NDArray[np.int64]]:
        radius, _, length = self.half
        return _revolve(np.array([[0, -length], [radius, -length], [radius, length], [0, length]]), _segments(radius))


class Capsule(Solid):
    """All points within a radius of a segment along its z axis: `half` is (radius, radius, half segment length)."""

    @staticmethod
    def parts(local: torch.Tensor, half: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        along = local[2].abs_().sub_(half[2]).clamp_(min=0)
        squared = local[0].square_().addcmul_(local[1], local[1]).addcmul_(along, along)
        distance = squared.sqrt_().sub_(half[0])
        inside = distance.clamp(max=0)
        return distance.clamp_(min=0).square_(), inside

    def reach(self) -> Array:
        return np.abs(self.rotation[:, 2]) * self.half[2] + self.half[0]

    def local_mesh(self) -> tuple[Array, NDArray[np.int64]]:
        radius, _, length = self.half
        segments = _segments(radius)
        angles = np.linspace(-np.pi / 2, 0, segments // 4 + 1)
        low = np.stack([radius * np.cos(angles), radius * np.sin(angles) - length], axis=1)
        high = (low * [1, -1])[::-1]
        return _revolve(np.concatenate([low, high[0 if length > 0 else 1 :]]), segments)


def _segments(radius: float) -> int:
    """Segments of a circle that keep facets within 0.4 mm (thin) to 0.8 mm (large) of it; a multiple of 4."""
    tolerance = 4e-4 if radius < 0.05 else 8e-4
    return max(12, 4 * int(np.ceil(np.pi / np.arccos(1 - tolerance / max(radius, 2 * tolerance)) / 4)))


def _revolve(profile: Array, segments: int) -> tuple[Array, NDArray[np.int64]]:
    """Surface of revolution around z of a profile (P, 2) of radius and height that starts and ends on the axis."""
    angles = np.arange(segments) * (2 * np.pi / segments)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [np.column_stack([radius * circle, np.full(segments, z)]) for radius, z in profile]
    here, beside = np.arange(segments), (np.arange(segments) + 1) % segments
    triangles = []
    for ring in range(len(profile) - 1):
        low, high = ring * segments, (ring + 1) * segments
        # The first and last ring are points on the axis: there one triangle a segment is enough.
        if ring > 0:
            triangles.append(np.stack([low + here, low + beside, high + here], axis=1))
        if ring < len(profile) - 2:
            triangles.append(np.stack([low + beside, high + beside, high + here], axis=1))
    return np.concatenate(rings), np.concatenate(triangles)


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
        return np.stack(_extent(self.solids))

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


def _extent(solids: Sequence[Solid]) -> tuple[Array, Array]:
    """Lowest and highest coordinates, (3,) each."""
    centres, reaches = (np.stack(arrays) for arrays in zip(*((s.centre, s.reach()) for s in solids), strict=True))
    return (centres - reaches).min(axis=0), (centres + reaches).max(axis=0)


def box(centre: tuple[float, float, float], size: tuple[float, float, float]) -> Box:
    """An upright box with edge lengths `size`."""
    return Box(np.array(centre, float), np.array(size, float) / 2, np.eye(3))


def _along(kind: type[Solid], start: Array | tuple[float, ...], end: Array | tuple[float, ...], radius: float) -> Solid:
    start, end = np.asarray(start, float), np.asarray(end, float)
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / length if length > 0 else np.array([0.0, 0.0, 1.0])
    side = np.cross(axis, [1.0, 0.0, 0.0] if abs(axis[0]) < 0.7 else [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    rotation = np.stack([side, np.cross(axis, side), axis], axis=1)
    return kind((start + end) / 2, np.array([radius, radius, length / 2]), rotation)


def cylinder(start: Array | tuple[float, ...], end: Array | tuple[float, ...], radius: float) -> Solid:
    """A cylinder between the centres of its two ends."""
    return _along(Cylinder, start, end, radius)


def rod(start: Array | tuple[float, ...], end: Array | tuple[float, ...], radius: float) -> Solid:
    """A capsule around the segment from start to end."""
    return _along(Capsule, start, end, radius)


def sphere(centre: Array | tuple[float, ...], radius: float) -> Solid:
    """A capsule of length zero."""
    return _along(Capsule, centre, centre, radius)


# Furniture. Every builder returns solids that stand on z = 0 around x = y = 0; a back, if any, is at +y.


def _clutter(rng: np.random.Generator, width: float, depth: float, z: float, count: int) -> Solids:
    """Small things on a surface of width x depth at height z."""
    solids: Solids = []
    for _ in range(count):
        x, y = rng.uniform(-0.42, 0.42, 2) * (width, depth)
        height, radius = rng.uniform(0.03, 0.28), rng.uniform(0.02, 0.07)
        kind = rng.integers(4)
        if kind == 0:
            solids.append(cylinder((x, y, z), (x, y, z + height), radius))
        elif kind == 1:
            solids.append(sphere((x, y, z + radius), radius))
        elif kind == 2:
            thin = box((0, 0, height / 2), (rng.uniform(0.01, 0.05), rng.uniform(0.08, 0.2), height))
            solids.append(_turned([thin], rng.uniform(0, 6.3), (x, y, z))[0])
        else:
            block = box((0, 0, height / 4), (rng.uniform(0.05, 0.25), rng.uniform(0.05, 0.2), height / 2))
            solids.append(_turned([block], rng.uniform(0, 6.3), (x, y, z))[0])
    return solids


def _turned(solids: Solids, yaw: float, translation: tuple[float, float, float]) -> Solids:
    rotation = Rotation.from_euler("z", yaw).as_matrix()
    return [solid.moved(rotation, np.array(translation, float)) for solid in solids]


def _legs(rng: np.random.Generator, width: float, depth: float, height: float) -> Solids:
    thick, round_legs, splay = rng.uniform(0.012, 0.05), rng.random() < 0.5, rng.uniform(0, 0.06)
    solids: Solids = []
    for x in (-1, 1):
        for y in (-1, 1):
            top = np.array([x * (width / 2 - thick), y * (depth / 2 - thick), height])
            if round_legs:
                solids.append(cylinder(top + [x * splay, y * splay, -height], top, thick / 2))
            else:
                solids.append(box((top[0], top[1], height / 2), (thick, thick, height)))
    return solids


def table(rng: np.random.Generator) -> Solids:
    """A top on four legs, with things on it; sometimes round."""
    width, depth, height = rng.uniform(0.5, 1.5), rng.uniform(0.45, 0.85), rng.uniform(0.38, 0.8)
    thick = rng.uniform(0.012, 0.04)
    if rng.random() < 0.25:
        width = depth
        top = cylinder((0, 0, height - thick), (0, 0, height), depth / 2)
        legs = _legs(rng, 0.65 * depth, 0.65 * depth, height - thick)
    else:
        top, legs = box((0, 0, height - thick / 2), (width, depth, thick)), _legs(rng, width, depth, height - thick)
    return [top, *legs, *_clutter(rng, 0.75 * width, 0.75 * depth, height, int(rng.integers(0, 7)))]


def chair(rng: np.random.Generator) -> Solids:
    """A seat on legs with a back of slats, or a stool without one."""
    width, height, thick = rng.uniform(0.36, 0.5), rng.uniform(0.4, 0.5), rng.uniform(0.012, 0.05)
    solids = [box((0, 0, height - thick / 2), (width, width, thick)), *_legs(rng, width, width, height - thick)]
    if rng.random() < 0.2:
        return solids
    back, radius = rng.uniform(0.3, 0.55), rng.uniform(0.006, 0.018)
    lean, edge = rng.uniform(0, 0.12), width / 2 - 0.02
    for x in (-edge, edge):
        solids.append(rod((x, edge, height), (x, edge + lean, height + back), radius))
    for share in np.linspace(0.35, 1, int(rng.integers(1, 5))):
        solids.append(box((0, edge + lean * share, height + back * share - 0.03), (2 * edge, 0.012, 0.05)))
    return solids


def shelf(rng: np.random.Generator) -> Solids:
    """Thin boards between thin sides, with books; sometimes with a back."""
    width, depth, height = rng.uniform(0.4, 1.1), rng.uniform(0.2, 0.4), rng.uniform(0.7, 2.0)
    thick = rng.uniform(0.01, 0.03)
    solids: Solids = [box((x * (width - thick) / 2, 0, height / 2), (thick, depth, height)) for x in (-1, 1)]
    if rng.random() < 0.5:
        solids.append(box((0, depth / 2 - 0.005, height / 2), (width, 0.01, height)))
    for z in np.linspace(0.05, height - thick, int(rng.integers(3, 7))):
        solids.append(box((0, 0, z + thick / 2), (width, depth, thick)))
        x, end = -width / 2 + thick + rng.uniform(0, 0.5) * width, width / 2 - 0.08
        for _ in range(int(rng.integers(0, 5))):
            book, tall = rng.uniform(0.015, 0.07), rng.uniform(0.12, 0.24)
            if x + book < end:
                solids.append(box((x + book / 2, 0, z + thick + tall / 2), (book, 0.7 * depth, tall)))
            x += book + rng.choice([0.002, 0.04])
    return solids


def cupboard(rng: np.random.Generator) -> Solids:
    """A closed box on a plinth with door edges and handles."""
    width, depth, height = rng.uniform(0.4, 1.1), rng.uniform(0.35, 0.6), rng.uniform(0.6, 2.0)
    plinth = rng.uniform(0.04, 0.12)
    solids: Solids = [
        box((0, 0.02, plinth / 2), (0.95 * width, 0.9 * depth, plinth)),
        box((0, 0, (height + plinth) / 2), (width, depth, height - plinth)),
    ]
    for x in (-1, 1):
        door = (0.5 * width - 0.012, 0.018, height - plinth - 0.02)
        solids.append(box((x * width / 4, -depth / 2 - 0.009, (height + plinth) / 2), door))
        handle = np.array([x * 0.05, -depth / 2 - 0.045, height / 2])
        solids.append(rod(handle - [0, 0, 0.06], handle + [0, 0, 0.06], 0.006))
    return solids + (_clutter(rng, width, depth, height, int(rng.integers(0, 4))) if height < 1.3 else [])


def sofa(rng: np.random.Generator) -> Solids:
    """Base, back, arms and loose cushions."""
    width, depth, seat = rng.uniform(0.8, 1.9), rng.uniform(0.7, 0.95), rng.uniform(0.32, 0.45)
    solids: Solids = [
        box((0, 0, seat / 2 + 0.03), (width, depth, seat - 0.06)),
        box((0, depth / 2 - 0.1, 0.42), (width, 0.2, 0.78)),
    ]
    for x in (-1, 1):
        arm = x * (width / 2 - 0.08)
        solids.append(box((arm, 0, 0.32), (0.16, depth, 0.56)))
        if rng.random() < 0.5:
            solids.append(cylinder((arm, -depth / 2, 0.6), (arm, depth / 2, 0.6), 0.08))
    for _ in range(int(rng.integers(0, 4))):
        cushion = box((0, 0, 0), (rng.uniform(0.3, 0.5), 0.12, rng.uniform(0.3, 0.45)))
        lean = Rotation.from_euler("zx", (rng.normal(0, 0.3), rng.uniform(-0.6, -0.1))).as_matrix()
        solids.append(cushion.moved(lean, np.array([rng.uniform(-0.35, 0.35) * width, depth / 2 - 0.3, seat + 0.18])))
    return solids


def plant(rng: np.random.Generator) -> Solids:
    """A pot and a branching stem with round leaves."""
    pot, height = rng.uniform(0.08, 0.2), rng.uniform(0.15, 0.4)
    solids: Solids = [cylinder((0, 0, 0), (0, 0, height), pot)]
    tips = [(np.array([0.0, 0.0, height]), np.array([0.0, 0.0, 1.0]), rng.uniform(0.2, 0.5), rng.uniform(0.008, 0.025))]
    for _ in range(int(rng.integers(2, 4))):
        grown = []
        for start, direction, length, radius in tips:
            end = start + direction * length
            solids.append(rod(start, end, radius))
            for _ in range(int(rng.integers(2, 4))):
                turn = direction + rng.normal(0, 0.6, 3)
                grown.append((end, turn / np.linalg.norm(turn), 0.6 * length, max(0.7 * radius, 0.0025)))
        tips = grown[:10]
    for start, direction, length, _ in tips:
        leaf, normal = start + direction * 0.5 * length, np.cross(direction, rng.normal(0, 1, 3))
        solids.append(cylinder(leaf, leaf + 0.004 * normal / np.linalg.norm(normal), rng.uniform(0.03, 0.09)))
    return solids


def lamp(rng: np.random.Generator) -> Solids:
    """A thin rod on a foot with a ball or a shade."""
    height, radius, head = rng.uniform(0.5, 1.7), rng.uniform(0.0025, 0.01), rng.uniform(0.07, 0.18)
    solids = [cylinder((0, 0, 0), (0, 0, 0.025), rng.uniform(0.1, 0.18)), rod((0, 0, 0), (0, 0, height), radius)]
    if rng.random() < 0.5:
        return [*solids, sphere((0, 0, height + 0.8 * head), head)]
    return [*solids, cylinder((0, 0, height), (0, 0, height + 1.5 * head), head)]


def boxes(rng: np.random.Generator) -> Solids:
    """One to four boxes on top of each other, each turned."""
    solids: Solids = []
    z, size = 0.0, rng.uniform(0.15, 0.6)
    for _ in range(int(rng.integers(1, 5))):
        height = size * rng.uniform(0.3, 0.9)
        piece = box((0, 0, height / 2), (size, size * rng.uniform(0.5, 1), height))
        solids += _turned([piece], rng.uniform(0, 6.3), (rng.normal(0, 0.02), rng.normal(0, 0.02), z))
        z, size = z + height, size * rng.uniform(0.6, 0.95)
    return solids


def ball(rng: np.random.Generator) -> Solids:
    """A ball of 4 to 30 cm radius."""
    radius = rng.uniform(0.04, 0.3)
    return [sphere((0, 0, radius), radius)]


def barrel(rng: np.random.Generator) -> Solids:
    """A standing cylinder, sometimes with a knob."""
    radius, height = rng.uniform(0.08, 0.3), rng.uniform(0.2, 0.9)
    solids = [cylinder((0, 0, 0), (0, 0, height), radius)]
    return [*solids, sphere((0, 0, height), 0.4 * radius)] if rng.random() < 0.4 else solids


def stairs(rng: np.random.Generator) -> Solids:
    """Three to six steps, solid or as thin treads between two stringers of rods."""
    width, rise, going = rng.uniform(0.4, 0.9), rng.uniform(0.1, 0.2), rng.uniform(0.18, 0.28)
    count, thin = int(rng.integers(3, 7)), rng.random() < 0.4
    solids: Solids = []
    for step in range(count):
        top, y = (step + 1) * rise, (step - (count - 1) / 2) * going
        low = top - 0.03 if thin else 0.0
        solids.append(box((0, y, (top + low) / 2), (width, going, top - low)))
    if thin:
        reach, top = count * going / 2, count * rise - 0.02
        for x in (-width / 2, width / 2):
            solids.append(rod((x, -reach, 0.02), (x, reach, top), 0.02))
    return solids


def plate(rng: np.random.Generator) -> Solids:
    """A free-standing thin plate on two feet."""
    width, height, thick = rng.uniform(0.35, 1.1), rng.uniform(0.4, 1.6), rng.uniform(0.005, 0.02)
    solids: Solids = [box((0, 0, height / 2 + 0.02), (width, thick, height))]
    return solids + [box((x * 0.4 * width, 0, 0.015), (0.04, 0.3, 0.03)) for x in (-1, 1)]


def rods(rng: np.random.Generator) -> Solids:
    """A stand of two to six thin rods in a foot, partly slanted."""
    solids: Solids = [cylinder((0, 0, 0), (0, 0, 0.03), 0.2)]
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(-0.12, 0.12, 2)
        end = (x + rng.normal(0, 0.12), y + rng.normal(0, 0.12), rng.uniform(0.5, 1.8))
        solids.append(rod((x, y, 0.02), end, rng.uniform(0.0025, 0.01)))
    return solids


def panel(rng: np.random.Generator) -> Solids:
    """A slanted board, leaning back to +y."""
    width, length, angle = rng.uniform(0.4, 1.2), rng.uniform(0.6, 1.7), rng.uniform(0.15, 1.0)
    board = box((0, 0, 0), (width, rng.uniform(0.006, 0.05), length))
    tilt = Rotation.from_euler("x", -angle).as_matrix()
    return [board.moved(tilt, np.array([0, 0, length / 2]))]


Builder = Callable[[np.random.Generator], Solids]
_LARGE: tuple[Builder, ...] = (table, table, chair, chair, chair, shelf, shelf, cupboard, sofa, stairs, panel, plate)
_SMALL: tuple[Builder, ...] = (plant, lamp, boxes, boxes, ball, barrel, rods, plate, chair)
_TILTABLE: frozenset[Builder] = frozenset({chair, boxes, barrel, plate, lamp, table})
_AGAINST_WALL: frozenset[Builder] = frozenset({shelf, cupboard, sofa, panel, stairs})


def _posed(rng: np.random.Generator, builder: Builder, room: Array) -> Solids:
    """A new piece somewhere on the floor of the room, perhaps tilted, perhaps with its back to a wall."""
    solids = builder(rng)
    if builder in _TILTABLE and rng.random() < 0.2:
        tilt = Rotation.from_euler("xy", rng.uniform(-1, 1, 2) * rng.choice([0.15, 1.6])).as_matrix()
        solids = [solid.moved(tilt, np.zeros(3)) for solid in solids]
    at_wall = rng.random() < (0.8 if builder in _AGAINST_WALL else 0.2)
    quarter = int(rng.integers(4))
    solids = _turned(solids, quarter * np.pi / 2 + rng.normal(0, 0.03) if at_wall else rng.uniform(0, 6.3), (0, 0, 0))
    low, high = _extent(solids)
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
        builder = (_LARGE if large else _SMALL)[rng.integers(len(_LARGE if large else _SMALL))]
        piece = _posed(rng, builder, room)
        low, high = _extent(piece)
        fits = high[2] < room[2] and bool(np.all(high[:2] - low[:2] < room[:2]))
        margin = 0.1 * (high - low)[:2]
        if fits and not any(np.all(low[:2] + margin < b) and np.all(high[:2] - margin > a) for a, b in taken):
            solids += piece
            placed += 1
            taken.append((low[:2], high[:2]))
    return solids + _clutter(rng, room[0], room[1], 0.0, int(rng.integers(3, 11)))


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
        solids += _turned([pipe], np.pi * rng.integers(2), (0, 0, 0))
    for _ in range(int(rng.integers(1, 5))):
        thick, width, height = rng.uniform(0.008, 0.05), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.8)
        frame = box((x - thick / 2, rng.uniform(-0.6, 0.6) * y, rng.uniform(1.0, z - 0.5)), (thick, width, height))
        solids += _turned([frame], np.pi * rng.integers(2), (0, 0, 0))
    for _ in range(int(rng.integers(0, 3))):
        at, drop, radius = rng.uniform(-0.8, 0.8, 2) * (x, y), rng.uniform(0.1, 0.35), rng.uniform(0.05, 0.12)
        solids += [rod((*at, z - drop), (*at, z), 0.004), sphere((*at, z - drop - 0.8 * radius), radius)]
    return solids


def _shell(room: Array) -> Solids:
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
    solids = _shell(room) + _furnish(rng, room) + _fixtures(rng, room)
    T_world_room = np.eye(4)
    T_world_room[:3, :3] = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix()
    T_world_room[:3, 3] = rng.uniform(-0.5, 0.5, 3)
    moved = tuple(solid.moved(T_world_room[:3, :3], T_world_room[:3, 3]) for solid in solids)
    return Scene(moved, T_world_room, room)
