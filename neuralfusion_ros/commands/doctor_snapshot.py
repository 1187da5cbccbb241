# SPDX-License-Identifier: Apache-2.0
"""What `neuralfusion doctor` knows about a running graph, gathered within a few seconds. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
POSE, ODOMETRY = "geometry_msgs/msg/PoseStamped", "nav_msgs/msg/Odometry"

Link = tuple[str, str]


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscription. node: full name. reliability, durability: names of the policies, in lower case.

    deadline_s: promised by a publisher, wanted by a subscription; infinite when there is none.
    """

    node: str
    type: str
    reliability: str = "reliable"
    durability: str = "volatile"
    deadline_s: float = math.inf


@dataclass(frozen=True)
class Input:
    """A topic that the fusion node subscribes to. subscriptions: those of that node.

    stamps_ns: of the messages that came while the doctor looked. frame_id: of the last one.
    """

    topic: str
    type: str
    publishers: tuple[Endpoint, ...] = ()
    subscriptions: tuple[Endpoint, ...] = ()
    stamps_ns: tuple[int, ...] = ()
    frame_id: str = ""


@dataclass(frozen=True)
class Said:
    """What one node told on /diagnostics. first, last: values of the first and the last of `messages`.

    problem: of the last one, empty when it was ok.
    """

    first: Mapping[str, str]
    last: Mapping[str, str]
    messages: int = 1
    problem: str = ""

    def grew(self, key: str) -> int:
        """By how much a number grew between the first and the last message."""
        return _number(self.last, key) - _number(self.first, key)

    def grown(self, prefix: str) -> dict[str, int]:
        """{rest of the key: by how much it grew} of the numbers whose key begins with `prefix`, largest first."""
        all_of_them = {key.removeprefix(prefix): self.grew(key) for key in self.last if key.startswith(prefix)}
        return dict(sorted(((key, by) for key, by in all_of_them.items() if by > 0), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Snapshot:
    """The graph around one fusion node and one translator node, both with their full names.

    seconds: how long it was watched. nodes: full names of all. said: by full name. parameters: of the fusion node, as
    far as they are needed. inputs: by type. image_topics: topics with images that somebody publishes. tf_links: the
    pairs (parent, child) of /tf and /tf_static, with the stamps of what came on /tf; None when they are not listened
    to. clock_ticks: messages on /clock. block_receivers: who subscribes the latent blocks. listeners: {output of the
    translator: number of subscribers}. has_gpu: this machine has an NVIDIA GPU. domain: how this process looks for
    others, in words.
    """

    fusion: str
    translator: str
    seconds: float = 0.0
    nodes: tuple[str, ...] = ()
    said: Mapping[str, Said] = field(default_factory=dict)
    parameters: Mapping[str, bool | float | str] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    image_topics: tuple[str, ...] = ()
    tf_links: Mapping[Link, tuple[int, ...]] | None = None
    clock_publishers: int = 0
    clock_ticks: int = 0
    block_receivers: tuple[str, ...] = ()
    listeners: Mapping[str, int] = field(default_factory=dict)
    has_gpu: bool = False
    domain: str = ""


def _number(values: Mapping[str, str], key: str) -> int:
    text = values.get(key, "0")
    return int(text) if text.isdecimal() else 0
