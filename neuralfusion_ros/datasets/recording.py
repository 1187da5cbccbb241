# SPDX-License-Identifier: Apache-2.0
"""What every source of depth frames looks like to the rest of the package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neuralfusion_ros.mapping.camera import PinholeCamera

# Poses further apart than this are not interpolated: a hand-held camera does not move in a straight line for longer.
MAX_POSE_GAP_NS = 200_000_000


class RecordingError(ValueError):
    """A recording cannot be read or written. The message is one line that says what is wrong and where."""


@dataclass(frozen=True)
class Frame:
    """One depth image and the pose of the camera's optical frame when it was taken.

    stamp_ns: nanoseconds. depth_m: (H, W) float32, metres along the camera's z, 0 where nothing was measured.
    T_world_camera: (4, 4) float64, maps points of the optical frame into the world.
    """

    stamp_ns: int
    depth_m: npt.NDArray[np.float32]
    T_world_camera: npt.NDArray[np.float64]


class Recording(Protocol):
    """A depth sequence with poses from one camera.

    Iterating yields usable frames in order of time, read lazily; unusable ones are counted in `rejected`
    (reason -> count) as they are met, from zero in every pass. When no frame at all is usable, the pass ends with
    RecordingError. `len` is the number of depth images, usable or not.
    """

    name: str
    camera: PinholeCamera
    rejected: Counter[str]

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Frame]: ...
