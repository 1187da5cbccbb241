# SPDX-License-Identifier: Apache-2.0
"""What nodes tell about themselves."""

from __future__ import annotations

from neuralfusion_ros.nodes.diagnostics import Rate


def test_a_rate_is_that_of_the_last_seconds(monkeypatch):
    now_s = 100.0
    monkeypatch.setattr("neuralfusion_ros.nodes.diagnostics.time.monotonic", lambda: now_s)
    rate, count, told = Rate(), 0, []
    for hz in (10, 10, 10, 10, 10, 10, 2, 2, 2, 2, 2, 2, 2):
        told.append(rate.of(count))
        now_s, count = now_s + 1, count + hz
    assert told[0] == 0.0 and told[1:7] == [10.0] * 6
    assert 2.0 < told[9] < 10.0 and told[12] == 2.0
