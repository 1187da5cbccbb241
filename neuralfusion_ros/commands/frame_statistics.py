# SPDX-License-Identifier: Apache-2.0
"""What `fuse` reports about a run."""

from __future__ import annotations

import json
import resource
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuralfusion_ros.mapping.block_grid import BLOCK_VOXELS
from neuralfusion_ros.mapping.mapper import Mapper
from neuralfusion_ros.mapping.new_file import new_file


@dataclass
class FrameStatistics:
    """ms: time that each integrated frame took. rejected: reason -> frames. blocks_refused: for want of memory."""

    ms: list[float] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    blocks_refused: int = 0

    def percentile_ms(self, percent: float) -> float:
        """Time within which that share of the frames was done, in ms; 0 without frames."""
        return round(float(np.percentile(self.ms, percent)), 3) if self.ms else 0.0

    def reasons(self) -> str:
        """Such as "3 (pose), 1 (time)"; "none" when nothing was rejected."""
        return ", ".join(f"{count} ({reason})" for reason, count in self.rejected.most_common()) or "none"


def report(frames: FrameStatistics, mapper: Mapper, translate_ms: float, triangles: int) -> dict[str, Any]:
    """The content of the report file. Sizes in bytes; voxels counts allocated ones, 512 per block."""
    return {
        "frames_integrated": len(frames.ms),
        "frames_rejected": dict(frames.rejected),
        "ms_per_frame": {f"p{percent}": frames.percentile_ms(percent) for percent in (50, 95, 99)},
        "translate_ms": round(translate_ms, 3),
        "voxels": mapper.grid.n_blocks * BLOCK_VOXELS,
        "blocks": mapper.grid.n_blocks,
        "map_bytes": mapper.grid.nbytes,
        "peak_rss_bytes": peak_rss_bytes(),
        "device": str(mapper.device),
        "model": {"name": mapper.model.name, "sha256": mapper.model.sha256},
        "voxel_size_m": mapper.settings.voxel_size_m,
        "triangles": triangles,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, aside and then renamed."""
    with new_file(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def peak_rss_bytes() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux, getrusage would also count the process that started this one.
    words = status.read_text(encoding="ascii").split()
    return 1024 * int(words[words.index("VmHWM:") + 1])
