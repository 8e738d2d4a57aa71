"""One function an operator: a Node of the canonical graph, written as ONNX nodes.

The same functions serve float and integer models: every result is written under its raw name, and the builder quantizes
it where there are parameters. The fused clamp of an int8 layer is nothing but the output's range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node

OPERATORS: OperatorTable[[Node, OnnxBuilder], None] = OperatorTable("ONNX", canonical)
