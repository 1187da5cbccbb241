# SPDX-License-Identifier: Apache-2.0
"""Paths of a camera that a person or a robot carries through a furnished room."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from neuralfusion_ros.training.scenes import Scene

Array = NDArray[np.float64]
HEIGHTS_M = (0.8, 1.8)
CLEARANCE_M = 0.35
_PUSH_STEP_M = 0.05
_MAX_SLOPE = 0.65
"""Largest vertical part of a viewing direction."""


def hand_path(scene: Scene, rng: np.random.Generator, frames: int) -> Array:
    """(frames, 4, 4) T_world_camera, optical frames, smooth in place and gaze.

    One of three styles: around the middle of the room, across it, or looking around on the spot. The camera stays
    0.35 m away from every surface and 0.8 to 1.8 m above the floor, moves and turns at most 10 cm and 10
    degrees from frame to frame. Raises ValueError when the room has no such place.
    """
    style = ("orbit", "walk", "spot")[rng.choice(3, p=(0.35, 0.45, 0.2))]
    position = _positions(scene, rng, frames, style)
    forward = _gaze(scene, rng, position, style)
    T_room_camera = poses_looking(position, forward, 0.06 * smooth_signal(rng, frames))
    return scene.T_world_room @ T_room_camera


def clearance_m(scene: Scene, points_room: Array) -> Array:
    """Signed distance (N,) of points (N, 3) in the room's frame to the nearest surface."""
    world = points_room @ scene.T_world_room[:3, :3].T + scene.T_world_room[:3, 3]
    return scene.signed_distance(torch.from_numpy(world).float()).numpy().astype(np.float64)


def _free_points(scene: Scene, rng: np.random.Generator, count: int) -> Array:
    """`count` points in the room's frame with clearance to spare, or the freest there are."""
    points = rng.uniform(-0.5, 0.5, (3000, 3)) * scene.room_size_m
    points[:, 2] = rng.uniform(HEIGHTS_M[0] + 0.05, min(HEIGHTS_M[1], scene.room_size_m[2] - 0.4) - 0.05, len(points))
    clearance = clearance_m(scene, points)
    free = points[clearance > CLEARANCE_M + 0.05]
    if len(free) < 30:
        free = points[np.argsort(-clearance)[:30]]
    return free[rng.choice(len(free), count, replace=len(free) < count)]


def _controls(scene: Scene, rng: np.random.Generator, style: str) -> Array:
    """Closed loop of control points (C, 3) in the room's frame."""
    free = _free_points(scene, rng, 400)
    if style == "spot":
        near = free[np.argsort(np.linalg.norm(free - free[0], axis=1))[:40]]
        return near[rng.choice(len(near), 5, replace=False)]
    if style == "walk":
        return free[: int(rng.integers(4, 8))]
    bearing = np.arctan2(free[:, 1], free[:, 0])
    sectors = np.floor((bearing + np.pi) / (2 * np.pi) * 7).clip(0, 6)
    loop = [free[sectors == sector][0] for sector in range(7) if np.any(sectors == sector)]
    return np.stack(loop if len(loop) > 2 else list(free[:4]))[:: int(rng.choice([-1, 1]))]


def _positions(scene: Scene, rng: np.random.Generator, frames: int, style: str) -> Array:
    """Positions (frames, 3) in the room's frame, tried until one keeps clear; late tries stay on the spot."""
    for attempt in range(24):
        style = "spot" if attempt >= 12 else style
        track = _loop(_controls(scene, rng, style), rng)
        track = _pushed_free(scene, track)
        position = _walked(track, rng, frames, style)
        if _inside(scene, position) and np.all(clearance_m(scene, position) >= CLEARANCE_M):
            return position
    raise ValueError("the room has no free place for a camera")


def _inside(scene: Scene, position: Array) -> bool:
    """All positions are between the walls and at the height of a hand."""
    height = position[:, 2]
    walls = np.all(np.abs(position[:, :2]) < scene.room_size_m[:2] / 2)
    return bool(walls and np.all((height >= HEIGHTS_M[0]) & (height <= HEIGHTS_M[1])))


def _loop(controls: Array, rng: np.random.Generator) -> Array:
    """A closed smooth curve (400, 3) through the control points, starting anywhere."""
    closed = np.concatenate([controls, controls[:1]])
    steps = np.sqrt(np.linalg.norm(np.diff(closed, axis=0), axis=1) + 1e-3)
    curve = CubicSpline(np.concatenate([[0], np.cumsum(steps)]), closed, bc_type="periodic")
    track = curve(np.linspace(0, steps.sum(), 400, endpoint=False))
    return np.roll(track, int(rng.integers(400)), axis=0)


def _pushed_free(scene: Scene, track: Array) -> Array:
    """The closed track, pushed away from surfaces where it comes too near, and smoothed."""
    low, high = HEIGHTS_M[0] + 0.03, min(HEIGHTS_M[1], scene.room_size_m[2] - CLEARANCE_M) - 0.03
    offsets = _PUSH_STEP_M / 2 * np.concatenate([np.eye(3), -np.eye(3)])
    for _ in range(40):
        missing = CLEARANCE_M + 0.04 - clearance_m(scene, track)
        near = np.flatnonzero(missing > 0)
        if near.size == 0:
            break
        around = clearance_m(scene, (track[near, None] + offsets).reshape(-1, 3)).reshape(-1, 2, 3)
        gradient = around[:, 0] - around[:, 1]
        gradient /= np.linalg.norm(gradient, axis=1, keepdims=True) + 1e-9
        track[near] += gradient * np.minimum(missing[near] + 0.01, 0.1)[:, None]
        track[:, 2] = np.clip(track[:, 2], low, high)
        track = gaussian_filter1d(track, 3, axis=0, mode="wrap")
    return track


def _walked(track: Array, rng: np.random.Generator, frames: int, style: str) -> Array:
    """Positions (frames, 3) along the closed track, at a speed that changes smoothly."""
    closed = np.concatenate([track, track[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    mean_step = rng.uniform(0.01, 0.03) if style == "spot" else rng.uniform(0.045, 0.08)
    steps = mean_step * np.exp(0.25 * smooth_signal(rng, frames)).clip(0.5, 1.25)
    travelled = np.cumsum(steps) % max(length[-1], 1e-6)
    return np.stack([np.interp(travelled, length, closed[:, axis]) for axis in range(3)], axis=1)


def _gaze(scene: Scene, rng: np.random.Generator, position: Array, style: str) -> Array:
    """Unit viewing directions (frames, 3) in the room's frame that follow changing targets at a limited rate."""
    frames = len(position)
    limit = np.radians(rng.uniform(5, 8) if style == "spot" else rng.uniform(3.5, 7))
    targets = _targets(scene, rng)
    dwell = int(rng.integers(8, 19))
    desired = np.empty((frames, 3))
    for frame in range(frames):
        if frame % dwell == 0:
            target = _next_target(rng, targets, position[frame], style)
        desired[frame] = target - position[frame]
    desired /= np.linalg.norm(desired, axis=1, keepdims=True)
    forward = np.empty((frames, 3))
    current = desired[0]
    for frame in range(frames):
        current = _turned_towards(current, desired[frame], limit)
        forward[frame] = current
    forward = gaussian_filter1d(forward, 1.5, axis=0, mode="nearest")
    return cast(Array, forward / np.linalg.norm(forward, axis=1, keepdims=True))


def _targets(scene: Scene, rng: np.random.Generator) -> Array:
    """Points (N, 3) in the room's frame worth looking at: pieces of furniture and places on the walls."""
    half = scene.room_size_m / 2
    centres = np.stack([solid.centre for solid in scene.solids]) - scene.T_world_room[:3, 3]
    furniture = centres @ scene.T_world_room[:3, :3]
    inside = np.all(np.abs(furniture[:, :2]) < half[:2], axis=1) & (furniture[:, 2] > 0)
    walls = rng.uniform(-1, 1, (40, 3)) * half
    walls[:, 2] = rng.uniform(0.1, 0.9, 40) * scene.room_size_m[2]
    walls[::2, 0] = np.copysign(half[0], walls[::2, 0])
    walls[1::2, 1] = np.copysign(half[1], walls[1::2, 1])
    return np.concatenate([furniture[inside & (furniture[:, 2] < scene.room_size_m[2])], walls])


def _next_target(rng: np.random.Generator, targets: Array, position: Array, style: str) -> Array:
    """A target at a comfortable distance and slope; who walks around the middle looks across it or outwards."""
    away = targets - position
    distance = np.linalg.norm(away, axis=1)
    good = (distance > 0.4) & (np.abs(away[:, 2]) < 0.6 * distance)
    if style == "orbit":
        good &= np.einsum("nc,c->n", away[:, :2], position[:2]) < 0
    choice = np.flatnonzero(good) if good.any() else np.arange(len(targets))
    return cast(Array, targets[rng.choice(choice)])


def _turned_towards(current: Array, desired: Array, limit: float) -> Array:
    """`current` turned towards `desired` by at most `limit` radians, and slower near the goal."""
    angle = float(np.arccos(np.clip(current @ desired, -1, 1)))
    # Near the vertical a turn of the gaze is a larger turn of the image: go slower there.
    step = min(limit * float(np.hypot(current[0], current[1])), 0.5 * angle)
    side = desired - (current @ desired) * current
    if np.linalg.norm(side) < 1e-6:
        # Opposite or the same: turn around the vertical.
        side = np.cross([0.0, 0.0, 1.0], current) if angle > 1 else np.zeros(3)
    side = side / (np.linalg.norm(side) + 1e-12)
    # Turning backwards over the zenith is no hand's movement: stay near the horizon.
    turned = np.cos(step) * current + np.sin(step) * side
    turned[2] = np.clip(turned[2], -_MAX_SLOPE, _MAX_SLOPE)
    return cast(Array, turned / np.linalg.norm(turned))


def smooth_signal(rng: np.random.Generator, frames: int) -> Array:
    """(frames,) a slowly changing random signal of about unit variance."""
    return cast(Array, 4.0 * gaussian_filter1d(rng.normal(0, 1, frames + 60), 6)[30 : 30 + frames])


def poses_looking(position: Array, forward: Array, roll: Array) -> Array:
    """(F, 4, 4) optical frames (x right, y down, z forward) in the room's frame."""
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.tile(np.eye(4), (len(position), 1, 1))
    poses[:, :3, 0] = c * right + s * down
    poses[:, :3, 1] = c * down - s * right
    poses[:, :3, 2] = forward
    poses[:, :3, 3] = position
    return poses
