# SPDX-License-Identifier: Apache-2.0
"""How far a command has come: a bar on a terminal, a few plain lines elsewhere, both on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE_S = 2.0  # for commands that are quick as a rule


class Advance(Protocol):
    """Says that `count` more are done. note: a few words about the latest."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(label: str, total: int, patience_s: float = 0.0, shown: bool = True) -> Iterator[Advance]:
    """Show the progress of `total` equal steps and the time left. Gives the function to call after steps.

    patience_s: no plain line before so much time has passed. shown: False for what must print nothing else.
    """
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield _plain(label, total, patience_s) if shown else _silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        task = bar.add_task(label, total=total, note="")
        yield lambda count=1, note="": bar.update(task, advance=count, note=note)


def _silent(count: int = 1, note: str = "") -> None:
    pass


def _plain(label: str, total: int, patience_s: float) -> Advance:
    """About ten lines, but no more than one a second, and always one at the end; none within patience_s."""
    start_s, done, last_s = time.monotonic(), 0, -math.inf

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done, last_s
        tenths, done, now_s = 10 * done // max(total, 1), done + count, time.monotonic()
        if 10 * done // max(total, 1) == tenths or (now_s - last_s < 1 and done != total):
            return
        if now_s - start_s < patience_s:
            return
        last_s = now_s
        left_s = (now_s - start_s) / done * max(total - done, 0)
        print(f"{label}: {done} of {total}, {left_s:.0f} s left {note}".rstrip(), file=sys.stderr, flush=True)

    return advance
