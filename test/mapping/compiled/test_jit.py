# SPDX-License-Identifier: Apache-2.0
"""Where compiled kernels are kept, and that they run where nothing can be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from neuralfusion_ros.mapping.compiled import jit, table
from neuralfusion_ros.mapping.compiled.jit import _cache_folder, kernel

KERNELS = Path(jit.__file__).parent

CALL_A_KERNEL = """
from neuralfusion_ros.mapping.compiled.table import pack
assert pack(-1, 0, 2) >= 0
print(pack.stats.cache_path)
"""


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the kernels, with a cache of its own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(KERNELS, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "kernels"


@kernel
def _sum_of_squares(n: int) -> int:
    total = 0
    for i in range(n):
        total += i * i
    return total


def test_a_kernel_is_compiled_and_keeps_its_meaning():
    assert _sum_of_squares(10) == 285
    assert _sum_of_squares.signatures  # type: ignore[attr-defined]


def test_a_kernel_divides_as_numpy_does():
    """Python would raise; numpy says infinity."""
    assert kernel(lambda a, b: a / b)(1.0, 0.0) == float("inf")


def test_numba_is_left_as_it_was(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "elsewhere")
    kernel(lambda: 1)
    assert numba.config.CACHE_DIR == "elsewhere"


@pytest.mark.parametrize("file", sorted(path.name for path in KERNELS.glob("*.py")))
def test_the_folder_changes_with_the_text_of_any_kernel(copied, file):
    before = _cache_folder(copied)
    assert before == _cache_folder(copied)
    (copied / file).write_text((copied / file).read_text() + "# changed\n")
    assert _cache_folder(copied) != before


def test_the_folder_does_not_depend_on_where_the_kernels_lie(copied):
    assert _cache_folder(copied) == _cache_folder(KERNELS)


def test_variables_choose_the_folder(tmp_path, monkeypatch):
    parents = []
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):  # each goes before those to its left
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
        folder = _cache_folder(KERNELS)
        assert folder is not None
        assert folder.is_dir()
        parents.append(folder.parent)
    assert parents == [
        tmp_path / "HOME" / ".cache" / "neuralfusion_ros",
        tmp_path / "XDG_CACHE_HOME" / "neuralfusion_ros",
        tmp_path / "NUMBA_CACHE_DIR" / "neuralfusion_ros",
    ]


def test_no_folder_below_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert _cache_folder(KERNELS) is None


def test_no_folder_for_a_user_without_a_home(monkeypatch):
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert _cache_folder(KERNELS) is None


def test_a_kernel_without_a_cache_works_and_leaves_no_files(tmp_path):
    """Numba alone would fall back to __pycache__ and there reuse a kernel whose helper has changed."""
    (tmp_path / "file").write_text("")
    result = run({"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")})
    assert (result.returncode, result.stdout, result.stderr) == (0, "None\n", "")
    assert not list((KERNELS / "__pycache__").glob("table.*.nb?"))


def test_kernels_work_without_a_home(tmp_path):
    result = run({"NUMBA_CACHE_DIR": str(tmp_path)}, without="HOME")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(tmp_path / "neuralfusion_ros"))
    assert list(tmp_path.rglob("table.*.nbi"))


def run(env: dict[str, str], without: str = "") -> subprocess.CompletedProcess[str]:
    """Calls a kernel in a process of its own."""
    whole = {key: value for key, value in os.environ.items() if key != without} | env
    whole["PYTHONPATH"] = os.pathsep.join((str(Path(table.__file__).parents[3]), whole.get("PYTHONPATH", "")))
    return subprocess.run([sys.executable, "-c", CALL_A_KERNEL], env=whole, capture_output=True, text=True, timeout=100)
