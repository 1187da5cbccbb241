# SPDX-License-Identifier: Apache-2.0
"""The sums in LLVM's vectors equal numpy's, with the sizes for either kind of CPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from neuralfusion_ros.mapping.compiled import vector_sums
from neuralfusion_ros.mapping.compiled.jit import kernel
from neuralfusion_ros.mapping.compiled.vector_sums import OUTPUTS, PLACES, add_products, add_weighted


@kernel
def _products(sums, inputs, steps, runs, run_step, length, weights):
    at = (sums.ctypes.data, inputs.ctypes.data, steps.ctypes.data)
    add_products(at[0], at[1], at[2], runs, run_step, length, weights.ctypes.data)


@kernel
def _weighted(sums, inputs, steps, weights):
    add_weighted(sums.ctypes.data, inputs.ctypes.data, steps.ctypes.data, len(steps), weights.ctypes.data)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def floats(rng, *shape):
    return rng.standard_normal(shape, np.float32)


@pytest.mark.parametrize(("runs", "run_step", "length"), [(1, 0, 1), (1, 0, 46), (3, 28, 14), (3, 5, 7)])
def test_products(rng, runs, run_step, length):
    inputs, weights, before = floats(rng, 500), floats(rng, runs * length, OUTPUTS), floats(rng, PLACES, OUTPUTS)
    steps, sums = rng.integers(0, 400, PLACES), before.copy()
    _products(sums, inputs, steps, runs, run_step, length, weights)
    for place, step in enumerate(steps):
        row = np.concatenate([inputs[step + run * run_step :][:length] for run in range(runs)])
        assert np.allclose(sums[place], before[place] + row @ weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_weighted(rng, count):
    inputs, weights, before = floats(rng, 300), floats(rng, count, OUTPUTS), floats(rng, OUTPUTS)
    steps, sums = rng.integers(0, 300 - OUTPUTS, count), before.copy()
    _weighted(sums, inputs, steps, weights)
    rows = np.stack([inputs[step : step + OUTPUTS] for step in steps]) if count else np.zeros((0, OUTPUTS))
    assert np.allclose(sums, before + (rows * weights).sum(axis=0), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif("NUMBA_CPU_FEATURES" in os.environ, reason="run by the test itself")
@pytest.mark.skipif(not get_host_cpu_features().get("avx512f"), reason="this CPU has the other sizes only")
def test_the_sizes_of_a_cpu_without_avx512(tmp_path):
    assert PLACES == 8
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma", "NUMBA_CACHE_DIR": str(tmp_path)}
    folders = os.pathsep.join((str(Path(vector_sums.__file__).parents[3]), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": folders} | narrow, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stdout
    assert "7 passed, 1 skipped" in result.stdout
