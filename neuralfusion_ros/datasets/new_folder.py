# SPDX-License-Identifier: Apache-2.0
"""Writing a folder so that it appears under its name only when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from neuralfusion_ros.datasets.recording import RecordingError


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a path to create a folder at; move that folder to `target` at the end, or remove it after an error.

    The path has the target's name and lies beside it, so that the move is one step.
    Raises RecordingError when the target exists or cannot be written.
    """
    target = target.absolute()
    if target.exists():
        raise RecordingError(f"{target} exists already; remove it or choose another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".writing-", dir=target.parent) as parent:
            folder = Path(parent) / target.name
            yield folder
            folder.rename(target)
    except OSError as error:
        raise RecordingError(f"{target} cannot be written: {error}") from error
