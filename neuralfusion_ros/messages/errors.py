# SPDX-License-Identifier: Apache-2.0
"""The one error that every decoder of this folder raises."""

from __future__ import annotations


class BadMessage(ValueError):
    """A received message cannot be used.

    reason: short stable key, made for counters ('encoding', 'truncated', 'size', ...).
    detail: one sentence that says what is wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
