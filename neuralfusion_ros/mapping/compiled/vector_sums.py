# SPDX-License-Identifier: Apache-2.0
"""The innermost loops of convolutions, written in LLVM's vectors.

Compiled from Python the sums would go to memory and back at every step. Here they stay in registers, and every weight
that is loaded serves several places. The sizes are those that are fastest with 16 registers of 256 bits, or with the
32 of 512 bits of AVX-512.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def _has_avx512() -> bool:
    """Of the CPU that numba compiles for, which is this one unless NUMBA_CPU_FEATURES says otherwise."""
    told: str | None = config.CPU_FEATURES
    return bool(get_host_cpu_features().get("avx512f")) if told is None else "+avx512f" in told.split(",")


OUTPUTS = 16
PLACES, _LANES = (8, 16) if _has_avx512() else (4, 8)
_VECTORS = OUTPUTS // _LANES

_FLOAT, _COUNT, _LANE = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, _LANES)
_FLOAT_BYTES = 4
_FUSED = ("contract",)  # a product and a sum may be one instruction


@intrinsic  # type: ignore[untyped-decorator]
def add_products(
    _typing_context: Any, _sums: Any, _inputs: Any, _steps: Any, _runs: Any, _run_step: Any, _length: Any, _weights: Any
) -> Any:
    """sums[p, o] += inputs[steps[p] + r * run_step + k] * weights[r * length + k, o], over r < runs and k < length.

    sums, inputs, steps, weights: addresses of (PLACES, OUTPUTS) sums, of inputs, of (PLACES,) int64, and of
    (runs * length, OUTPUTS) weights. Numbers are float32; steps and run_step are counted in them.
    """
    return types.void(*[types.intp] * 7), _generate


def _generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
    sums, inputs, steps, runs, run_step, length, weights = args
    sums, weights = (builder.inttoptr(address, _VECTOR.as_pointer()) for address in (sums, weights))
    inputs = builder.inttoptr(inputs, _FLOAT.as_pointer())
    steps = builder.inttoptr(steps, _COUNT.as_pointer())
    places = [builder.gep(inputs, [builder.load(builder.gep(steps, [_COUNT(p)]))]) for p in range(PLACES)]
    # LLVM keeps them in registers: nothing else has their address.
    registers = [cgutils.alloca_once_value(builder, _load(builder, sums, n)) for n in range(PLACES * _VECTORS)]
    row = cgutils.alloca_once_value(builder, _COUNT(0))
    with cgutils.for_range(builder, runs) as run, cgutils.for_range(builder, length) as element:
        at = builder.add(builder.mul(run.index, run_step), element.index)
        here = [_spread(builder, place, at) for place in places]
        for n in range(_VECTORS):
            weight = _load(builder, weights, builder.add(builder.load(row), _COUNT(n)))
            for place, value in enumerate(here):
                register = registers[place * _VECTORS + n]
                product = builder.fmul(value, weight, flags=_FUSED)
                builder.store(builder.fadd(builder.load(register), product, flags=_FUSED), register)
        builder.store(builder.add(builder.load(row), _COUNT(_VECTORS)), row)
    for n, register in enumerate(registers):
        builder.store(builder.load(register), builder.gep(sums, [_COUNT(n)])).align = _FLOAT_BYTES
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]
def add_weighted(_typing_context: Any, _sums: Any, _inputs: Any, _steps: Any, _count: Any, _weights: Any) -> Any:
    """sums[o] += inputs[steps[n] + o] * weights[n, o], over n < count.

    sums, inputs, steps, weights: addresses of (OUTPUTS,) sums, of inputs, of (count,) int64, and of (count, OUTPUTS)
    weights. Numbers are float32; steps are counted in them.
    """
    return types.void(*[types.intp] * 5), _generate_weighted


def _generate_weighted(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
    sums, inputs, steps, count, weights = args
    sums, weights = (builder.inttoptr(address, _VECTOR.as_pointer()) for address in (sums, weights))
    inputs = builder.inttoptr(inputs, _FLOAT.as_pointer())
    steps = builder.inttoptr(steps, _COUNT.as_pointer())
    registers = [cgutils.alloca_once_value(builder, _load(builder, sums, n)) for n in range(_VECTORS)]
    with cgutils.for_range(builder, count) as term:
        here = builder.gep(inputs, [builder.load(builder.gep(steps, [term.index]))])
        vectors = builder.bitcast(here, _VECTOR.as_pointer())
        for n, register in enumerate(registers):
            weight = _load(builder, weights, builder.add(builder.mul(term.index, _COUNT(_VECTORS)), _COUNT(n)))
            product = builder.fmul(_load(builder, vectors, n), weight, flags=_FUSED)
            builder.store(builder.fadd(builder.load(register), product, flags=_FUSED), register)
    for n, register in enumerate(registers):
        builder.store(builder.load(register), builder.gep(sums, [_COUNT(n)])).align = _FLOAT_BYTES
    return context.get_dummy_value()


def _load(builder: Any, vectors: Any, index: Any) -> Any:
    """One vector; it need not lie at a multiple of its size."""
    number = index if isinstance(index, ir.Value) else _COUNT(index)
    loaded = builder.load(builder.gep(vectors, [number]))
    loaded.align = _FLOAT_BYTES
    return loaded


def _spread(builder: Any, floats: Any, index: Any) -> Any:
    """One float in every lane."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, builder.load(builder.gep(floats, [index])), _LANE(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_LANE, _LANES), [0] * _LANES))
