# SPDX-License-Identifier: Apache-2.0
"""A room with thin rods and plates of known thickness in a circle, made from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.training.scenes import WALL_M, Scene
from neuralfusion_ros.training.solids import Array, Solid, Solids, box, rod

ROOM_M = np.array([4.4, 4.4, 2.4])
_CIRCLE_M = 0.9
_CAMERA_CIRCLE_M = 1.75
_KINDS = ("upright rod", "slanted rod", "plate")


@dataclass(frozen=True, eq=False)
class ThinItem:
    """kind: what it is. thickness_m: diameter of a rod, thickness of a plate."""

    kind: str
    thickness_m: float
    solid: Solid

    def mesh(self) -> Triangles:
        """Its true surface."""
        return Triangles(*self.solid.mesh())


def thin_items(thicknesses_m: Sequence[float], seed: int) -> list[ThinItem]:
    """An upright rod, a slanted rod and a plate of each thickness; their places on the circle are drawn.

    Rods are 0.8 m long, slanted ones lean outwards by 30 degrees; plates are 0.3 m x 0.3 m, upright and turned.
    """
    rng = np.random.default_rng([seed, 7])
    wanted = [(kind, thickness) for thickness in thicknesses_m for kind in _KINDS]
    items = []
    for place, number in enumerate(rng.permutation(len(wanted))):
        kind, thickness_m = wanted[number]
        angle = 2 * np.pi * (place + rng.uniform(-0.15, 0.15)) / len(wanted)
        turn = Rotation.from_euler("z", angle).as_matrix()
        at = turn @ [_CIRCLE_M, 0, rng.uniform(0.8, 1.2)]
        items.append(ThinItem(kind, thickness_m, _solid(kind, thickness_m, rng).moved(turn, at)))
    return items


def _solid(kind: str, thickness_m: float, rng: np.random.Generator) -> Solid:
    """The item around the origin, with x pointing away from the circle's centre."""
    if kind == "plate":
        turn = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix()
        return box((0, 0, 0), (thickness_m, 0.3, 0.3)).moved(turn, np.zeros(3))
    lean = np.radians(30) if kind == "slanted rod" else 0.0
    axis = 0.4 * np.array([np.sin(lean), 0, np.cos(lean)])
    return rod(-axis, axis, thickness_m / 2)


def thin_scene(items: Sequence[ThinItem]) -> Scene:
    """The items in an otherwise empty room."""
    return Scene((*_shell(), *(item.solid for item in items)), np.eye(4), ROOM_M)


def camera_circle(frames: int) -> Array:
    """(frames, 4, 4) T_world_camera: once around the items, looking at them and gently up and down."""
    poses = np.tile(np.eye(4), (frames, 1, 1))
    for pose, angle in zip(poses, 2 * np.pi * np.arange(frames) / frames, strict=True):
        position = np.array([_CAMERA_CIRCLE_M * np.cos(angle), _CAMERA_CIRCLE_M * np.sin(angle), 1.2])
        position[2] += 0.35 * np.sin(3 * angle)
        forward = np.array([0, 0, 1.0]) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        pose[:3, 3] = position
    return poses


def _shell() -> Solids:
    """Floor, ceiling and walls."""
    x, y, z = (float(length) for length in ROOM_M)
    outer = (x + 2 * WALL_M, y + 2 * WALL_M)
    slabs: Solids = [box((0, 0, level), (*outer, WALL_M)) for level in (-WALL_M / 2, z + WALL_M / 2)]
    for side in (-1, 1):
        slabs.append(box((side * (x + WALL_M) / 2, 0, z / 2), (WALL_M, outer[1], z + 2 * WALL_M)))
        slabs.append(box((0, side * (y + WALL_M) / 2, z / 2), (outer[0], WALL_M, z + 2 * WALL_M)))
    return slabs
