# SPDX-License-Identifier: Apache-2.0
"""neuralfusion record."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralfusion_ros.commands import record
from neuralfusion_ros.datasets.open_recording import open_recording
from neuralfusion_ros.datasets.recording import Frame, RecordingError


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="neuralfusion")
    record.add_parser(parser.add_subparsers())
    args = parser.parse_args(["record", *words])
    return int(args.run(args))


def test_record_writes_a_bag_and_says_what_it_holds(
    sequence: Path, frames: list[Frame], assert_same_frames: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    (sequence / "depth" / "000002.png").write_bytes(b"")
    bag = sequence.parent / "bag"
    assert run(str(sequence), str(bag)) == 0
    output = capsys.readouterr()
    assert output.out.startswith(f"{bag}: 4 frames, ") and "left out: 1 (unreadable image)" in output.out
    assert "recording: 1 of 5" in output.err and "\x1b" not in output.err
    assert_same_frames(open_recording(bag), frames[:2] + frames[3:])


def test_errors_are_left_to_the_command_line(sequence: Path) -> None:
    with pytest.raises(RecordingError, match="exists already"):
        run(str(sequence), str(sequence))


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert "neuralfusion record data/kitchen kitchen_bag" in capsys.readouterr().out
