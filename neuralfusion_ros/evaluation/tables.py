# SPDX-License-Identifier: Apache-2.0
"""Tables of results as Markdown, with the conditions under which they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """One score of a table. value: takes it from a row's object. form: how to print it. best: min or max."""

    title: str
    value: Callable[[T], float]
    form: str
    best: Callable[[Sequence[float]], float]

    def text(self, row: T) -> str:
        """The score as printed."""
        return format(self.value(row), self.form)

    def best_of(self, rows: Sequence[T]) -> T:
        """The row with the best score."""
        wanted = self.best([self.value(row) for row in rows])
        return next(row for row in rows if self.value(row) == wanted)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table. The first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def score_table(rows: Sequence[T], names: Sequence[str], columns: Sequence[Column[T]]) -> str:
    """One line per row, the best value of every column in bold."""
    best = [column.best_of(rows) for column in columns]
    lines = [
        [
            name,
            *(
                f"**{c.text(row)}**" if c.value(row) == c.value(b) else c.text(row)
                for c, b in zip(columns, best, strict=True)
            ),
        ]
        for name, row in zip(names, rows, strict=True)
    ]
    return markdown_table(["method", *(column.title for column in columns)], lines)


def conditions_text(conditions: Mapping[str, object]) -> str:
    """The conditions as a Markdown list, after the machine and the date."""
    every = {"machine": f"{cpu_name()}, {os.cpu_count()} cores", "date": date.today().isoformat(), **conditions}
    return "".join(f"- {name}: {value}\n" for name, value in every.items())


def cpu_name() -> str:
    """What the processor calls itself."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
