# SPDX-License-Identifier: Apache-2.0
"""What the fusion node tells about itself: the values on /diagnostics, what is wrong, the line of statistics."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from neuralfusion_ros.nodes.fusion_work import FusionWork
from neuralfusion_ros.nodes.rejections import Rejections

# Counted like rejections, but the one is told as dropped and the other's frames are used all the same.
DROPPED, MAP_FULL = "queue_full", "map_full"

_PATIENCE_S = 2.0


class FusionReport:
    """image_topic, info_topic: full names, for the messages."""

    def __init__(self, work: FusionWork, rejections: Rejections, image_topic: str, info_topic: str) -> None:
        self._work, self._rejections = work, rejections
        self._image_topic, self._info_topic = image_topic, info_topic
        self._begin_s = time.monotonic()
        self._newest_image_s: float | None = None

    def begin(self) -> None:
        """From now on frames are expected."""
        self._begin_s, self._newest_image_s = time.monotonic(), None

    def image_came(self) -> None:
        """An image has come, usable or not."""
        self._newest_image_s = time.monotonic()

    def problem(self) -> str:
        """Why no frame was integrated for a while; empty when there was one."""
        now_s = time.monotonic()
        if now_s - max(self._begin_s, self._work.newest_s or 0.0) < _PATIENCE_S:
            return ""
        if self._newest_image_s is None:
            return f"no message on {self._image_topic} yet"
        if now_s - self._newest_image_s > _PATIENCE_S:
            return f"no message on {self._image_topic} any more: the last came {now_s - self._newest_image_s:.0f} s ago"
        if not self._work.has_camera_info:
            return f"no message on {self._info_topic} yet"
        return f"no frame could be used, {self._rejections.last}" if self._rejections.last else "no frame is done yet"

    def values(self) -> dict[str, Any]:
        """What /diagnostics shows."""
        work, counts = self._work, self._rejections.counts
        age_s = "" if work.newest_s is None else f"{time.monotonic() - work.newest_s:.1f}"
        return {
            "received": work.received,
            "integrated": work.integrated,
            "rejected": _rejected(counts).total(),
            **{f"rejected.{reason}": count for reason, count in sorted(_rejected(counts).items())},
            "dropped": counts[DROPPED],
            "queue_length": len(work.queue),
            "ms_p50": work.durations.percentile(50),
            "ms_p95": work.durations.percentile(95),
            "blocks": work.n_blocks,
            "map_bytes": work.map_bytes,
            "frames_map_full": counts[MAP_FULL],
            "blocks_refused": work.blocks_refused,
            "newest_frame_age_s": age_s,
            "map_id": work.sender.map_id,
            "sequence": work.sender.sequence,
            "blocks_to_send": work.sender.waiting,
        }

    def line(self) -> str:
        """The line of statistics for the log."""
        work, counts = self._work, self._rejections.counts
        reasons = ", ".join(f"{count} {reason}" for reason, count in _rejected(counts).most_common()) or "none"
        return (
            f"{work.received} images, {work.integrated} integrated, {counts[DROPPED]} dropped, rejected: {reasons}; "
            f"{work.durations.percentile(50):.0f} ms p50, {work.durations.percentile(95):.0f} ms p95; "
            f"{work.n_blocks} blocks, {work.map_bytes / 1e6:.1f} MB"
        )


def _rejected(counts: Counter[str]) -> Counter[str]:
    return Counter({reason: count for reason, count in counts.items() if reason not in (DROPPED, MAP_FULL)})
