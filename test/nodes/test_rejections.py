# SPDX-License-Identifier: Apache-2.0
"""The gate counts everything, and the log stays short."""

from __future__ import annotations

from neuralfusion_ros.messages.errors import BadMessage
from neuralfusion_ros.nodes.rejections import Rejections
from neuralfusion_ros.nodes.throttled_log import ThrottledLog


def test_bad_messages_are_counted_and_logged_once_per_reason(log):
    rejections = Rejections(log)
    for reason in ("size", "size", "pose"):
        with rejections.gate():
            raise BadMessage(reason, f"The {reason} is wrong.")
    assert rejections.counts == {"size": 2, "pose": 1}
    assert log.lines == ["rejected, size: The size is wrong.", "rejected, pose: The pose is wrong."]
    assert rejections.last == "pose: The pose is wrong."


def test_an_unforeseen_error_is_counted_and_logged_once_per_kind(log):
    rejections = Rejections(log)
    for text in ("0", "0", "a"):
        with rejections.gate():
            print(1 // int(text))
    assert rejections.counts == {"internal": 3}
    assert len(log.lines) == 2
    assert "ZeroDivisionError" in log.lines[0] and "test_rejections.py" in log.lines[0]


def test_lines_that_were_left_out_are_told(log, wait_until):
    throttled = ThrottledLog(log, period_s=0.05)
    throttled.warn("a", "first")
    throttled.warn("a", "second")
    throttled.warn("b", "other")

    def logged_again():
        throttled.warn("a", "third")
        return len(log.lines) == 3

    wait_until(logged_again)
    assert log.lines[:2] == ["first", "other"]
    assert log.lines[2].startswith("third (") and log.lines[2].endswith("more since the last such line)")
