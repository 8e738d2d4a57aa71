"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.ir import (
    Clamp,
    HardSwish,
)
from edgekit.ir.operators.clamp import UNFUSED

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, model: TfliteBuilder) -> None:
    model.operator("HARD_SWISH", 1, [model.activation(node.operand("x"))], model.activation(node.output))


OPERATORS.refuses(Clamp, UNFUSED)
