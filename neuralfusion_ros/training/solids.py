# SPDX-License-Identifier: Apache-2.0
"""Solids with an exact signed distance outside, and the same as a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Solids = list["Solid"]


@dataclass(frozen=True, eq=False)
class Solid:
    """A solid around `centre` (3,) with half sizes `half` (3,); `rotation` (3, 3) turns its own axes to the world's."""

    centre: Array
    half: Array
    rotation: Array

    def moved(self, rotation: Array, translation: Array) -> Solid:
        """The solid after p -> rotation @ p + translation."""
        return replace(self, centre=rotation @ self.centre + translation, rotation=rotation @ self.rotation)

    @property
    def half_thickness(self) -> Array:
        """(3,) half sizes along its own axes, as far as they measure a thickness; infinite along the others."""
        return self.half

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

    @property
    def half_thickness(self) -> Array:
        # A capsule without length is a sphere: as thin along its axis as across it.
        return np.array([self.half[0], self.half[0], np.inf if self.half[2] > 0 else self.half[0]])

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


def extent(solids: Sequence[Solid]) -> tuple[Array, Array]:
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
