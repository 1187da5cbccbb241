# SPDX-License-Identifier: Apache-2.0
"""How the kernels of this folder are compiled, and where the result is kept.

Numba compiles a kernel when it is first called and keeps the result in a cache. Numba itself would reuse a kernel
whose helper in another file has changed; so the cache's folder is named after the text of all kernels.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compiles a function for the CPU on its first call; it then runs without the interpreter's lock."""
    options = {"nogil": True, "error_model": "numpy"}  # no check for division by zero: it forbids vector code
    if _CACHE is None:
        return numba.njit(function, **options)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_CACHE)
    try:
        return numba.njit(function, cache=True, **options)
    finally:
        numba.config.CACHE_DIR = before


def _cache_folder(kernels: Path) -> Path | None:
    """The folder for what is compiled from the files in `kernels`.

    None where nothing can be written: kernels are then compiled anew in every process. Numba would rather use a
    folder beside the source, whose name says nothing about the helpers.
    """
    text = hashlib.sha256()
    for file in sorted(kernels.glob("*.py")):
        text.update(file.read_bytes())
    try:
        root = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(root) / "neuralfusion_ros" / text.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # RuntimeError: nobody knows where the home is
        return None
    return folder


_CACHE = _cache_folder(Path(__file__).parent)
