# SPDX-License-Identifier: Apache-2.0
"""Progress without a terminal."""

import itertools

import pytest

from neuralfusion_ros.commands.progress import progress


@pytest.mark.parametrize(("step_s", "shown"), [(0.5, range(20, 201, 20)), (0.01, [20, 120, 200])])
def test_about_ten_lines_but_not_too_many_a_second(monkeypatch, capsys, step_s, shown):
    clock = itertools.count(0.0, step_s)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress("walking", 200) as advance:
        for _ in range(200):
            advance(note="slowly")
    lines = capsys.readouterr().err.splitlines()
    left = [round((200 - done) * step_s) for done in shown]
    assert lines == [f"walking: {d} of 200, {s} s left slowly" for d, s in zip(shown, left, strict=True)]


@pytest.mark.parametrize(("step_s", "shown"), [(0.5, [4, 5]), (0.1, [])])
def test_patience_keeps_quick_work_quiet(monkeypatch, capsys, step_s, shown):
    clock = itertools.count(0.0, step_s)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress("walking", 5, patience_s=2) as advance:
        for _ in range(5):
            advance()
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == [str(done) for done in shown]


def test_what_is_not_shown_prints_nothing(capsys):
    with progress("walking", 1, shown=False) as advance:
        advance()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_the_end_is_always_shown(capsys):
    with progress("walking", 3) as advance:
        for _ in range(3):
            advance()
    lines = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["walking: 1 of 3", "walking: 3 of 3"]
