# SPDX-License-Identifier: Apache-2.0
"""Half precision numbers inside kernels, where they are uint16: numba has no half precision on a CPU, LLVM has."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_HALF_BYTES, _FLOAT_BYTES = 2, 4


@intrinsic  # type: ignore[untyped-decorator]
def to_float(_typing_context: Any, _bits: Any) -> Any:
    """The bits of a half, as uint16, to float32."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@intrinsic  # type: ignore[untyped-decorator]
def to_half(_typing_context: Any, _number: Any) -> Any:
    """float32 to the bits of the nearest half, ties to even."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def move_towards(_typing_context: Any, _halves: Any, _numbers: Any, _gain: Any, places: Any) -> Any:
    """halves[i] += gain * (numbers[i] - halves[i]), rounded to the nearest half once, for all places at a time.

    halves, numbers: addresses of uint16 bits and of float32. gain: float32. places: a tuple, of which only the length
    counts.
    """
    n, signature = places.count, types.void(types.intp, types.intp, types.float32, places)

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        if n == 0:
            return context.get_dummy_value()
        halves, numbers = ir.VectorType(ir.HalfType(), n), ir.VectorType(ir.FloatType(), n)
        state = builder.inttoptr(args[0], halves.as_pointer())
        stored, wanted = builder.load(state), builder.load(builder.inttoptr(args[1], numbers.as_pointer()))
        stored.align, wanted.align = _HALF_BYTES, _FLOAT_BYTES
        gain = ir.Constant(numbers, ir.Undefined)
        for place in range(n):
            gain = builder.insert_element(gain, args[2], ir.IntType(32)(place))
        before = builder.fpext(stored, numbers)
        moved = builder.fadd(before, builder.fmul(gain, builder.fsub(wanted, before)))
        builder.store(builder.fptrunc(moved, halves), state).align = _HALF_BYTES
        return context.get_dummy_value()

    return signature, generate
