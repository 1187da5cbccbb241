# SPDX-License-Identifier: Apache-2.0
"""Half precision numbers inside kernels, where they are uint16: numba has no half precision on a CPU, LLVM has."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


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
