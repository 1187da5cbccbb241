# SPDX-License-Identifier: Apache-2.0
"""A small exact recording that takes no time to make."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.mapping.poses import pose_matrix
from neuralfusion_ros.training.scenes import Scene
from neuralfusion_ros.training.sequences import Tour
from neuralfusion_ros.training.solids import box


@pytest.fixture(scope="session")
def wall_tour() -> Tour:
    """18 frames of 64 x 48 pixels: a wall of 10 cm at z = 1.5, and a box in front of it, from places around z = 0."""
    scene = Scene((box((0, 0, 1.55), (8, 8, 0.1)), box((0.3, 0.1, 1.2), (0.3, 0.2, 0.2))), np.eye(4), np.ones(3))
    camera = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
    turns = Rotation.from_euler("yx", [(0.3 * np.sin(i), 0.1 * np.cos(2 * i)) for i in range(18)]).as_quat()
    poses = np.stack([pose_matrix([0.2 * np.cos(i), 0.1 * np.sin(i), 0.0], turn) for i, turn in enumerate(turns)])
    return Tour(scene, camera, poses)
