"""One function an operator: a Node of the canonical graph, written as TFLite operators.

The same functions serve float and integer models: a tensor is int8 where the builder has parameters for it. The fused
clamp of an int8 layer is nothing but the output's range, so its fused activation is always NONE.
Layers with 16-bit activations run in TFLite's own kernels, which XNNPACK leaves them to.
Versions are those of tflite/tools/versioning/op_version.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node

OPERATORS: OperatorTable[[Node, TfliteBuilder], None] = OperatorTable("TFLite", canonical)
