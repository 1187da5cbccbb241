# SPDX-License-Identifier: Apache-2.0
"""What the demo plays: its own recording or a given one, and how fast."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from neuralfusion_ros.commands.demo_recording import write_demo_recording
from neuralfusion_ros.commands.progress import progress
from neuralfusion_ros.datasets.bag_writer import write_bag
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.pictures.viewpoint import Doubles, up_direction

OWN_FRAMES = 120
# Two cores that also translate and publish keep up with this.
FRAMES_PER_S = 5.0
_SLOWEST = 0.01


@dataclass(frozen=True)
class DemoPlan:
    """recording: what to play. frames: usable ones in it. up: (3,) upwards in its world. rate: speed of the replay.

    duration_s: of the replay.
    """

    recording: Path
    frames: int
    up: Doubles
    rate: float
    duration_s: float


def make_plan(given: Path | None, frames: int | None, rate: float | None, folder: Path) -> DemoPlan:
    """Look through the recording to play; make one in `folder` when none is given or only some frames are wanted.

    rate: None plays as recorded, but at most FRAMES_PER_S. Raises RecordingError.
    """
    path = _recording(given, frames, folder)
    recording = open_recording(path)
    stamps, poses = [], []
    with progress("looking through the recording", len(recording)) as advance:
        for frame in recording:
            stamps.append(frame.stamp_ns)
            poses.append(frame.T_world_camera)
            advance()
    step_s = float(np.median(np.diff(stamps))) / 1e9 if len(stamps) > 1 else 1.0
    rate = rate or float(np.clip(FRAMES_PER_S * step_s, _SLOWEST, 1.0))
    return DemoPlan(path.absolute(), len(stamps), up_direction(poses), rate, (stamps[-1] - stamps[0]) / 1e9 / rate)


def _recording(given: Path | None, frames: int | None, folder: Path) -> Path:
    own = folder / "recording"
    if (own / "metadata.yaml").exists():
        shutil.rmtree(own)
    if given is None:
        write_demo_recording(own, frames or OWN_FRAMES)
        return own
    if frames is None:
        return given
    recording = open_recording(given)
    write_bag(own, recording.camera, islice(recording, frames))
    return own
