"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import (
    Mean,
)

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import ProgramBuilder, Value


@lowers(Mean)
def mean(op: Mean, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """Over the two spatial axes."""
    return program.add("reduce_mean", output, x=x, axes=(2, 3), keep_dims=op.keep_dims)
