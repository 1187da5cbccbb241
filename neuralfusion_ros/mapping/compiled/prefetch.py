# SPDX-License-Identifier: Apache-2.0
"""Asks for memory before it is needed, inside kernels: what lies anywhere in a large map comes slowly."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_BYTE, _CHOICE = ir.IntType(8), ir.IntType(32)
_TO_READ, _KEEP, _DATA = _CHOICE(0), _CHOICE(3), _CHOICE(1)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_typing_context: Any, _address: Any) -> Any:
    """Has the cache line at an address loaded; goes on at once."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], _BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _CHOICE, _CHOICE, _CHOICE])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(function, [pointer, _TO_READ, _KEEP, _DATA])
        return context.get_dummy_value()

    return types.void(types.intp), generate
