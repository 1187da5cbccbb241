# SPDX-License-Identifier: Apache-2.0
"""Scores on a real recording, without ground truth: how well a map predicts depth images that it has not seen.

Every second frame is fused. The mesh is seen from the poses of the others and compared with their measured depth.
Measured depth is noisy and poses are not exact, so no method reaches 1, but all are measured alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import open3d as o3d

from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.evaluation.method import Triangles
from neuralfusion_ros.evaluation.surfaces import ray_scene
from neuralfusion_ros.mapping.camera import PinholeCamera

FLOATING_M = 0.05


@dataclass(frozen=True)
class HoldoutScores:
    """Shares of the measured pixels. within_2cm, within_5cm: the predicted depth differs by at most that.

    missing: no surface along the ray, which also counts as not within. floating: the prediction is more than 5 cm
    nearer than the measurement. pixels: how many were compared.
    """

    within_2cm: float
    within_5cm: float
    missing: float
    floating: float
    pixels: int


def split(frames: Iterable[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Frames 0, 2, 4, ... to fuse, and the others to compare with."""
    every = list(frames)
    return every[::2], every[1::2]


def rays_through_pixels(camera: PinholeCamera, T_world_camera: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(H, W, 6) origins and directions in the world of the rays through the pixels' centres, at integer coordinates.

    Directions have length 1 along the camera's z, so the distance that Open3D returns is depth.
    """
    directions = camera.rays().numpy().astype(np.float64) @ T_world_camera[:3, :3].T
    origins = np.broadcast_to(T_world_camera[:3, 3], directions.shape)
    return np.concatenate((origins, directions), axis=-1).astype(np.float32)


def holdout_scores(
    mesh: Triangles, frames: Iterable[Frame], camera: PinholeCamera, max_depth_m: float
) -> HoldoutScores:
    """Compares the mesh with the frames' depth, where it is valid and within max_depth_m."""
    scene = ray_scene(mesh) if len(mesh.triangles) else None
    counts = np.zeros(5)
    for frame in frames:
        measured = (frame.depth_m > 0) & (frame.depth_m <= max_depth_m)
        rays = rays_through_pixels(camera, frame.T_world_camera)[measured]
        hit = np.full(len(rays), np.inf) if scene is None else scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy()
        counts += _count(hit, frame.depth_m[measured])
    within_2cm, within_5cm, missing, floating, pixels = counts.tolist()
    total = max(pixels, 1.0)
    return HoldoutScores(within_2cm / total, within_5cm / total, missing / total, floating / total, int(pixels))


def _count(predicted_m: npt.NDArray[np.floating], measured_m: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Numbers of pixels: within 2 cm, within 5 cm, missing, floating, all."""
    error = predicted_m - measured_m
    return np.array(
        [
            np.sum(np.abs(error) <= 0.02),
            np.sum(np.abs(error) <= 0.05),
            np.sum(~np.isfinite(predicted_m)),
            np.sum(error < -FLOATING_M),
            len(measured_m),
        ],
        dtype=np.float64,
    )
