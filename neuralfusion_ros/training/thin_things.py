# SPDX-License-Identifier: Apache-2.0
"""Things thinner than a voxel: what a map should make of them, and where they are.

The signed distance at the centres of voxels hardly ever turns negative inside a thin rod, so a network that learns the
exact distance learns that there is nothing. Whoever plans a path would rather have the rod a voxel thick. What lies
against something else stays as it is: the map shows it anyway, and its face must not move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from neuralfusion_ros.training.scenes import Scene
from neuralfusion_ros.training.solids import Array, Solid, Solids

_PLATE_HALF_VOXELS = 0.45  # about the least that a grid along the plate cannot miss ...
_ROD_HALF_VOXELS = 0.7  # ... and a grid along the rod
_THIN_HALF_VOXELS = 1.5  # slender enough to be easily lost, and so to be looked at more often
_AROUND_VOXELS = 1.5
_PROBES = np.array([-0.6, 0.0, 0.6])  # along a solid, in its half sizes


@dataclass(frozen=True)
class MappableScene:
    """A scene in which the thin things that stand free are so thick that a grid of such voxels shows them.

    rods, plates: these things, as thick as in the scene.
    """

    scene: Scene
    rods: Solids
    plates: Solids
    voxel_size_m: float

    def points_near_thin_things(self, count: int, generator: torch.Generator) -> list[torch.Tensor]:
        """(count, 3) points of the world around the rods, and as many around the plates.

        They fill the boxes that enclose them and 1.5 voxels more on every side. What the scene lacks is left out.
        """
        margin_m = _AROUND_VOXELS * self.voxel_size_m
        return [_points_around(kind, margin_m, count, generator) for kind in (self.rods, self.plates) if kind]


def mappable(scene: Scene, voxel_size_m: float) -> MappableScene:
    """What a map with such voxels should show of the scene."""
    solids = list(scene.solids)
    thin = [number for number, solid in enumerate(solids) if len(_thin_axes(solid, voxel_size_m))]
    rods: Solids = []
    plates: Solids = []
    for number, free in zip(thin, _standing_free(scene, thin, voxel_size_m), strict=True):
        if free:
            axes = _thin_axes(solids[number], voxel_size_m)
            half = solids[number].half.copy()
            least = _PLATE_HALF_VOXELS if len(axes) == 1 else _ROD_HALF_VOXELS
            half[axes] = np.maximum(half[axes], least * voxel_size_m)
            solids[number] = replace(solids[number], half=half)
            (plates if len(axes) == 1 else rods).append(solids[number])
    return MappableScene(replace(scene, solids=tuple(solids)), rods, plates, voxel_size_m)


def _thin_axes(solid: Solid, voxel_size_m: float) -> NDArray[np.intp]:
    """The at most two of the solid's own axes across which it is thin."""
    thickness = solid.half_thickness
    axes = np.argsort(thickness, kind="stable")[:2]
    return axes[thickness[axes] < _THIN_HALF_VOXELS * voxel_size_m]


def _standing_free(scene: Scene, numbers: list[int], voxel_size_m: float) -> list[bool]:
    """For each numbered solid: a voxel beside it, there is nothing along most of it, on every thin side."""
    if not numbers:
        return []
    probes = [_probes(scene.solids[number], voxel_size_m) for number in numbers]
    points = torch.from_numpy(np.concatenate([sides.reshape(-1, 3) for sides in probes]))
    empty = (scene.signed_distance(points) > 0.5 * voxel_size_m).numpy()
    per_solid = np.split(empty, np.cumsum([sides.shape[0] * sides.shape[1] for sides in probes])[:-1])
    return [
        bool(np.all(solid.reshape(sides.shape[:2]).mean(axis=1) > 0.5))
        for solid, sides in zip(per_solid, probes, strict=True)
    ]


def _probes(solid: Solid, voxel_size_m: float) -> Array:
    """(sides, N, 3) points of the world, a voxel away from each thin side."""
    axes = _thin_axes(solid, voxel_size_m)
    along = [np.zeros(1) if axis in axes else _PROBES for axis in range(3)]
    middle = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3) * solid.half
    steps = [sign * (solid.half[axis] + voxel_size_m) * np.eye(3)[axis] for axis in axes for sign in (-1, 1)]
    return np.stack([(middle + step) @ solid.rotation.T + solid.centre for step in steps])


def _points_around(solids: Solids, margin_m: float, count: int, generator: torch.Generator) -> torch.Tensor:
    half = torch.from_numpy(np.stack([solid.half for solid in solids]) + margin_m)
    chosen = torch.multinomial(half.prod(dim=1), count, replacement=True, generator=generator)
    local = half[chosen] * (2 * torch.rand((count, 3), generator=generator, dtype=torch.float64) - 1)
    rotation = torch.from_numpy(np.stack([solid.rotation for solid in solids]))
    centre = torch.from_numpy(np.stack([solid.centre for solid in solids]))
    return (torch.einsum("nij,nj->ni", rotation[chosen], local) + centre[chosen]).float()
