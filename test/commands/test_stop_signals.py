# SPDX-License-Identifier: Apache-2.0
"""Signals that end a command at a moment of its own choice."""

import signal

import pytest

from neuralfusion_ros.commands.stop_signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_old_handlers_come_back(number):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals() as signals:
        assert not signals.received
        signal.raise_signal(number)
        assert signals.received
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_only_a_second_ctrl_c_some_time_later_ends_the_process(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with StopSignals():
        signal.raise_signal(signal.SIGINT)
        now_s[0] += 1.0
        signal.raise_signal(signal.SIGINT)
        now_s[0] += 1.5
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
