# SPDX-License-Identifier: Apache-2.0
"""Progress without a terminal."""

from neuralfusion_ros.commands.progress import progress


def test_ten_lines_without_escape_codes(capsys):
    with progress("walking", 200) as advance:
        for _ in range(200):
            advance(note="slowly")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[4].startswith("walking: 100 of 200, ") and lines[4].endswith(" s left slowly")


def test_every_step_of_a_short_way_and_more_steps_than_expected(capsys):
    with progress("walking", 2) as advance:
        advance(2)
        advance()
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "walking: 2 of 2",
        "walking: 3 of 2",
    ]
