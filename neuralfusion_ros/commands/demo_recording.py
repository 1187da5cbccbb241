# SPDX-License-Identifier: Apache-2.0
"""The recording that the demo makes when it is given none: a room with thin structures, seen by a noisy camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.datasets.recording import Frame
from neuralfusion_ros.mapping.camera import PinholeCamera
from neuralfusion_ros.training.camera_paths import hand_path
from neuralfusion_ros.training.rendering import DepthRenderer
from neuralfusion_ros.training.scenes import random_room
from neuralfusion_ros.training.sensor_families import LEVELS

CAMERA = PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5)
_SEED = 8
_NOISE = "mild"
_STEP_NS = 100_000_000
_START_NS = 1_000_000_000


def write_demo_recording(path: Path, frames: int) -> None:
    """Write a new rosbag2 folder (mcap) of `frames` depth images at 10 Hz; always the same ones."""
    with progress("recording a room", frames) as advance:

        def counted() -> Iterator[Frame]:
            for frame in demo_frames(frames):
                yield frame
                advance()

        write_bag(path, CAMERA, counted())


def demo_frames(count: int) -> Iterator[Frame]:
    """The first frames of the recording, at most `count`."""
    room = random_room(_SEED)
    rng = np.random.default_rng(_SEED)
    renderer, sensor = DepthRenderer(*room.mesh()), LEVELS[_NOISE]
    for number, pose in enumerate(hand_path(room, rng, count)):
        depth, cosine = renderer.render_with_cosine(CAMERA, pose)
        yield Frame(_START_NS + number * _STEP_NS, sensor.apply(depth, CAMERA, rng, cosine), pose)
