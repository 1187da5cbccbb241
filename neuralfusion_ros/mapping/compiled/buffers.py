# SPDX-License-Identifier: Apache-2.0
"""Arrays that serve every frame. Memory that is fresh from the machine is slow to write to."""

from __future__ import annotations

import math

import numpy as np

from neuralfusion_ros.mapping.compiled.world_rays import Floats


class Buffers:
    """For one thread. An array keeps what was written to it until the same name is asked for again."""

    def __init__(self) -> None:
        self._kept: dict[str, Floats] = {}

    def array(self, name: str, *shape: int) -> Floats:
        """A float32 array of that shape, with anything in it."""
        size = math.prod(shape)
        if name not in self._kept or self._kept[name].size < size:
            self._kept[name] = np.empty(size, np.float32)
        return self._kept[name][:size].reshape(shape)
