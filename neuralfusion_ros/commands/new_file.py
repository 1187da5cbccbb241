# SPDX-License-Identifier: Apache-2.0
"""Writing a file so that it appears under its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuralfusion_ros.commands.errors import CommandError


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Give a path beside `target`, with the same suffix, to write to. Rename it at the end, remove it on an error."""
    aside = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield aside
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def check_writable(target: Path, suffix: str) -> None:
    """Raise CommandError when a file cannot be made at `target`, so that no long work is done for nothing."""
    if target.suffix.lower() != suffix:
        raise CommandError(f"{target} must end in {suffix}")
    if not target.parent.is_dir():
        raise CommandError(f"{target} cannot be written: there is no folder {target.parent}")
    if target.is_dir():
        raise CommandError(f"{target} cannot be written: it is a folder")
    if not os.access(target.parent, os.W_OK):
        raise CommandError(f"{target} cannot be written: no permission to write in {target.parent}")
