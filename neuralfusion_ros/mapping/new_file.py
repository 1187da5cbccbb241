# SPDX-License-Identifier: Apache-2.0
"""Writing a file so that it appears under its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile


class NotWritable(OSError):
    """A file or folder cannot be written. The message is one line that says which and why."""


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Give a path beside `target`, with the same suffix, to write to. Rename it at the end, remove it on an error."""
    aside = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield aside
        aside.replace(target)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk has no name
            error.filename = str(target)
        raise
    finally:
        aside.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises NotWritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotWritable(f"folder {folder} cannot be made: there is a file of that name") from None
    except OSError as error:
        raise NotWritable(f"folder {folder} cannot be made: {error.strerror}") from error


def check_writable(target: Path, suffix: str) -> None:
    """Raise NotWritable when a file cannot be made at `target`, so that no long work is done for nothing."""
    if target.suffix.lower() != suffix:
        raise NotWritable(f"{target} must end in {suffix}")
    if not target.parent.is_dir():
        raise NotWritable(f"{target} cannot be written: there is no folder {target.parent}")
    if target.is_dir():
        raise NotWritable(f"{target} cannot be written: it is a folder")
    try:  # permissions alone do not tell: a folder may be read-only, full or none that takes files
        TemporaryFile(dir=target.parent).close()
    except PermissionError:
        raise NotWritable(f"{target} cannot be written: no permission to write in {target.parent}") from None
    except OSError as error:
        text = f"folder {target.parent} takes no new file: {error.strerror}"
        raise NotWritable(f"{target} cannot be written: {text}") from error
