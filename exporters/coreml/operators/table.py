"""One function an operator: how a node is written in the Model Intermediate Language.

The same functions serve float and integer models. In an integer model their inputs come out of ``dequantize`` and their
result goes into ``quantize``, which is how Core ML spells an integer operator (coremltools, int_op_canonicalization:
"dequantize -> the floating-point version of this operator -> quantize").

Each takes the operator, the program, the value to make and what is read, in the order of the operator's roles.
Sources: coremltools/converters/mil/mil/ops/defs/iOS15, and iOS17 where that has another version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import Value

OPERATORS: OperatorTable[..., Value] = OperatorTable("Core ML", canonical)
lowers = OPERATORS.implements
