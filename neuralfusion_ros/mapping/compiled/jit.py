# SPDX-License-Identifier: Apache-2.0
"""How the kernels of this folder are compiled, and where the result is kept.

Numba compiles a kernel when it is first called and keeps the result in a cache. Numba itself would reuse a kernel
whose helper in another file has changed; so the cache's folder is named after the text of all kernels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compiles a function for the CPU on its first call; it then runs without the interpreter's lock."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_CACHE)
    try:
        options = {"nogil": True, "error_model": "numpy"}  # no check for division by zero: it forbids vector code
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # no folder to write to: compiled anew in every process
            return numba.njit(function, **options)
    finally:
        numba.config.CACHE_DIR = before


def _cache_folder() -> Path:
    text = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        text.update(file.read_bytes())
    root = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "neuralfusion_ros" / text.hexdigest()[:16]


_CACHE = _cache_folder()
