# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from neuralfusion_ros.messages import cdr

# How long one example takes says nothing on a busy machine.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture
def assert_like_rclpy(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], bytes], Any], None]:
    """A check that the bytes made by a function are those that rclpy makes of a message.

    rclpy leaves whatever was in memory in the padding between fields. The padding is found by writing twice.
    """
    from rclpy.serialization import serialize_message

    def check(make: Callable[[], bytes], message: Any) -> None:
        monkeypatch.setattr(cdr, "PADDING", b"\x00")
        ours = make()
        monkeypatch.setattr(cdr, "PADDING", b"\xff")
        is_padding = [a != b for a, b in zip(ours, make(), strict=True)]
        theirs = serialize_message(message)
        assert len(ours) == len(theirs)
        assert all(a == b or padding for a, b, padding in zip(ours, theirs, is_padding, strict=True))

    return check
