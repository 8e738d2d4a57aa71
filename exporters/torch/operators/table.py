"""One function an operator: the expression whose value is a node's output, in float and in integers side by side.

A float expression is that before the fused clamp. The clamp of an integer layer is nothing but the range of its output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node

FLOAT: OperatorTable[[Node, FloatWriter], str] = OperatorTable("torch", canonical)
INTEGER: OperatorTable[[Node, IntegerWriter], str] = OperatorTable("torch int8", canonical)
