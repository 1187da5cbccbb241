# SPDX-License-Identifier: Apache-2.0
"""Qualities of service that the nodes and their tests share."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

BLOCKS_DEPTH = 200  # of `latent_blocks`, in messages


def reliable(depth: int, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    """Reliable, keep last."""
    return QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=durability,
    )


def latched() -> QoSProfile:
    """As maps are published: who comes later gets the last message."""
    return reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
