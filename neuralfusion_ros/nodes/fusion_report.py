# SPDX-License-Identifier: Apache-2.0
"""What the fusion node tells about itself: the values on /diagnostics, what is wrong, the line of statistics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from neuralfusion_ros.nodes.camera_input import CameraInput
from neuralfusion_ros.nodes.diagnostics import Rate
from neuralfusion_ros.nodes.fusion_work import FusionWork
from neuralfusion_ros.nodes.rejections import Rejections

# Counted like rejections, but the one is told as dropped and the other's frames are used all the same.
DROPPED, MAP_FULL = "queue_full", "map_full"

_PATIENCE_S = 2.0


class FusionReport:
    """full_name: gives the full name of a topic, for the messages."""

    def __init__(self, work: FusionWork, rejections: Rejections, full_name: Callable[[str], str]) -> None:
        self._work, self._rejections, self._full_name = work, rejections, full_name
        self._begin_s = time.monotonic()
        self._received_rate, self._integrated_rate = Rate(), Rate()

    def begin(self) -> None:
        """From now on frames are expected."""
        self._begin_s = time.monotonic()
        for camera in self._work.cameras:
            camera.newest_image_s = None

    def problem(self) -> str:
        """Why no frame was integrated for a while, of the first camera without; empty when all have one."""
        return next((text for text in map(self._problem_of, self._work.cameras) if text), "")

    def _problem_of(self, camera: CameraInput) -> str:
        now_s = time.monotonic()
        if now_s - max(self._begin_s, camera.newest_s or 0.0) < _PATIENCE_S:
            return ""
        topic = self._full_name(camera.image_topic)
        if camera.newest_image_s is None:
            return self._silence(topic)
        if now_s - camera.newest_image_s > _PATIENCE_S:
            return f"no message on {topic} any more: the last came {now_s - camera.newest_image_s:.0f} s ago"
        if not camera.has_camera_info:
            return self._silence(self._full_name(camera.info_topic))
        what = f"no frame of {camera.name}".removesuffix(" of ")
        waiting = camera.queue.oldest()
        if waiting is not None and waiting.missing is not None:
            return f"{what} could be used, {waiting.missing.reason}: {waiting.missing.detail}"
        why = self._rejections.last_of(camera.name) or self._rejections.last
        return f"{what} could be used, {why}" if why else f"{what} is done yet"

    def _silence(self, topic: str) -> str:
        why = self._rejections.last_of(topic)
        return f"no message on {topic} yet" + (f": {why}" if why else "")

    def values(self) -> dict[str, Any]:
        """What /diagnostics shows."""
        work, counts = self._work, self._rejections.counts
        newest_s = max((camera.newest_s for camera in work.cameras if camera.newest_s is not None), default=None)
        age_s = "" if newest_s is None else f"{time.monotonic() - newest_s:.1f}"
        return {
            "received": self._received(),
            "received_hz": self._received_rate.of(self._received()),
            "integrated": work.integrated,
            "integrated_hz": self._integrated_rate.of(work.integrated),
            "rejected": _rejected(counts).total(),
            **{f"rejected.{reason}": count for reason, count in sorted(_rejected(counts).items())},
            "dropped": counts[DROPPED],
            "queue_length": sum(len(camera.queue) for camera in work.cameras),
            "ms_p50": work.durations.percentile(50),
            "ms_p95": work.durations.percentile(95),
            "blocks": work.n_blocks,
            "map_bytes": work.map_bytes,
            "frames_map_full": counts[MAP_FULL],
            "blocks_refused": work.blocks_refused,
            "blocks_dropped": work.blocks_dropped,
            "newest_frame_age_s": age_s,
            "map_id": work.sender.map_id,
            "sequence": work.sender.sequence,
            "blocks_to_send": work.sender.waiting,
            **self._values_of_cameras(),
        }

    def line(self) -> str:
        """The line of statistics for the log."""
        work, counts = self._work, self._rejections.counts
        reasons = ", ".join(f"{count} {reason}" for reason, count in _rejected(counts).most_common()) or "none"
        return (
            f"{self._received()} images, {work.integrated} integrated, {counts[DROPPED]} dropped, rejected: {reasons}; "
            f"{work.durations.percentile(50):.0f} ms p50, {work.durations.percentile(95):.0f} ms p95; "
            f"{work.n_blocks} blocks, {work.map_bytes / 1e6:.1f} MB"
        )

    def _received(self) -> int:
        return sum(camera.received for camera in self._work.cameras)

    def _values_of_cameras(self) -> dict[str, int]:
        """The share of each camera, when there are several."""
        values: dict[str, int] = {}
        for camera in self._work.cameras:
            if camera.name:
                values[f"{camera.name}.received"] = camera.received
                values[f"{camera.name}.integrated"] = camera.integrated
        return values


def _rejected(counts: Counter[str]) -> Counter[str]:
    return Counter({reason: count for reason, count in counts.items() if reason not in (DROPPED, MAP_FULL)})
