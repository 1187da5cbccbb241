# SPDX-License-Identifier: Apache-2.0
"""Furniture at random. Every builder returns solids that stand on z = 0 around x = y = 0; a back, if any, is at +y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.solids import Solids, box, cylinder, rod, sphere


def clutter(rng: np.random.Generator, width: float, depth: float, z: float, count: int) -> Solids:
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
            solids.append(turned([thin], rng.uniform(0, 6.3), (x, y, z))[0])
        else:
            block = box((0, 0, height / 4), (rng.uniform(0.05, 0.25), rng.uniform(0.05, 0.2), height / 2))
            solids.append(turned([block], rng.uniform(0, 6.3), (x, y, z))[0])
    return solids


def turned(solids: Solids, yaw: float, translation: tuple[float, float, float]) -> Solids:
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
    return [top, *legs, *clutter(rng, 0.75 * width, 0.75 * depth, height, int(rng.integers(0, 7)))]


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
    return solids + (clutter(rng, width, depth, height, int(rng.integers(0, 4))) if height < 1.3 else [])


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
        solids += turned([piece], rng.uniform(0, 6.3), (rng.normal(0, 0.02), rng.normal(0, 0.02), z))
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
LARGE: tuple[Builder, ...] = (table, table, chair, chair, chair, shelf, shelf, cupboard, sofa, stairs, panel, plate)
SMALL: tuple[Builder, ...] = (plant, lamp, boxes, boxes, ball, barrel, rods, plate, chair)
TILTABLE: frozenset[Builder] = frozenset({chair, boxes, barrel, plate, lamp, table})
AGAINST_WALL: frozenset[Builder] = frozenset({shelf, cupboard, sofa, panel, stairs})
