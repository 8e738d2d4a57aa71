"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import (
    Add,
    Mul,
)

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import ProgramBuilder, Value


@lowers(Add)
def add(_: Add, program: ProgramBuilder, output: Value, a: Value, b: Value) -> Value:
    """Operands broadcast."""
    return program.add("add", output, x=a, y=b)


@lowers(Mul)
def mul(_: Mul, program: ProgramBuilder, output: Value, a: Value, b: Value) -> Value:
    """Operands broadcast."""
    return program.add("mul", output, x=a, y=b)
