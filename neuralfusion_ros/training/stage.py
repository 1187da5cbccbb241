# SPDX-License-Identifier: Apache-2.0
"""One piece of furniture or a few slender things in the middle of an empty room, and a camera that goes around them.

In a furnished room a camera rarely sees a thing from all sides. Here every surface has its back seen soon after, as on
a table that somebody walks around.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.spatial.transform import Rotation

from neuralfusion_ros.training.camera_paths import poses_looking, smooth_signal
from neuralfusion_ros.training.furniture import LARGE, SMALL
from neuralfusion_ros.training.scenes import Scene, shell
from neuralfusion_ros.training.solids import Array, Solid, Solids, box, extent, rod

REACH_M = 0.65
"""Nothing on the stage is farther from its middle than this."""
HEIGHT_M = 1.4
_DISTANCES_M = (0.8, 1.7)
_THICKNESSES_M = (0.004, 0.08)


def random_stage(seed: int) -> Scene:
    """The middle of the stage is HEIGHT_M above the middle of the floor. The same seed gives the same stage."""
    rng = np.random.default_rng([seed, 2])
    room = np.array([*rng.uniform(4.2, 6.0, 2), 2 * HEIGHT_M])
    kind = rng.random()
    if kind < 0.4:
        things = _piece(rng)
    elif kind < 0.6:
        things = [solid for _ in range(int(rng.integers(1, 4))) for solid in _slotted(rng)]
    else:
        things = [_slender(rng) for _ in range(int(rng.integers(4, 13)))]
    turn = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix()
    T_world_room = np.eye(4)
    T_world_room[:3, :3] = turn
    T_world_room[:3, 3] = rng.uniform(-0.5, 0.5, 3)
    solids = [*shell(room), *(thing.moved(np.eye(3), np.array([0, 0, HEIGHT_M])) for thing in things)]
    return Scene(tuple(solid.moved(turn, T_world_room[:3, 3]) for solid in solids), T_world_room, room)


def path_around(scene: Scene, rng: np.random.Generator, frames: int) -> Array:
    """(frames, 4, 4) T_world_camera, optical frames: half a turn to one and a half around the middle of the stage."""
    turned = rng.uniform(np.pi, 3 * np.pi) * rng.choice([-1, 1])
    azimuth = rng.uniform(0, 2 * np.pi) + turned * np.linspace(0, 1, frames)
    elevation = (rng.uniform(-0.4, 0.6) + 0.3 * smooth_signal(rng, frames)).clip(-0.7, 0.7)
    distance = (rng.uniform(*_DISTANCES_M) + 0.1 * smooth_signal(rng, frames)).clip(*_DISTANCES_M)
    outwards = np.stack(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], 1
    )
    middle = np.array([0, 0, HEIGHT_M])
    position = middle + distance[:, None] * outwards
    target = middle + 0.1 * np.stack([smooth_signal(rng, frames) for _ in range(3)], axis=1)
    forward = target - position
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    return scene.T_world_room @ poses_looking(position, forward, 0.1 * smooth_signal(rng, frames))


def _piece(rng: np.random.Generator) -> Solids:
    """A piece of furniture around the origin, at a scale that fits the stage, sometimes tilted."""
    builders = LARGE + SMALL
    solids = builders[rng.integers(len(builders))](rng)
    if rng.random() < 0.5:
        turn = Rotation.random(random_state=rng).as_matrix()
        solids = [solid.moved(turn, np.zeros(3)) for solid in solids]
    low, high = extent(solids)
    scale = 2 * REACH_M / float(np.linalg.norm(high - low)) * rng.uniform(0.6, 1)
    middle = (low + high) / 2
    return [replace(solid, centre=scale * (solid.centre - middle), half=scale * solid.half) for solid in solids]


def _slender(rng: np.random.Generator) -> Solid:
    """A rod or a plate of 4 mm to 8 cm, anywhere and in any direction."""
    thickness = float(np.exp(rng.uniform(*np.log(_THICKNESSES_M))))
    length = float(rng.uniform(0.15, 0.6))
    kind = rng.integers(3)
    if kind == 0:
        solid = rod((0, 0, -length / 2), (0, 0, length / 2), thickness / 2)
    elif kind == 1:
        solid = box((0, 0, 0), (thickness, thickness * rng.uniform(1, 2), length))
    else:
        solid = box((0, 0, 0), (thickness, float(rng.uniform(0.1, 0.5)), length))
    return solid.moved(Rotation.random(random_state=rng).as_matrix(), _away(rng))


def _slotted(rng: np.random.Generator) -> Solids:
    """A board of 6 to 30 mm with slots, like the back of a garden chair, anywhere and in any direction."""
    thick = float(np.exp(rng.uniform(np.log(0.006), np.log(0.03))))
    width, height, rim = rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.5), rng.uniform(0.02, 0.08)
    count, open_share = int(rng.integers(2, 7)), rng.uniform(0.2, 0.7)
    slat = height * (1 - open_share) / count
    solids: Solids = [box((x * (width - rim) / 2, 0, 0), (rim, thick, height)) for x in (-1, 1)]
    for z in np.linspace(-0.5, 0.5, count) * (height - slat):
        solids.append(box((0, 0, z), (width, thick, slat)))
    turn, away = Rotation.random(random_state=rng).as_matrix(), _away(rng)
    return [solid.moved(turn, away) for solid in solids]


def _away(rng: np.random.Generator) -> Array:
    """(3,) so far from the middle that what is 60 cm long stays on the stage."""
    direction = rng.normal(size=3)
    return cast(Array, (REACH_M - 0.3) * rng.random() ** (1 / 3) * direction / np.linalg.norm(direction))
