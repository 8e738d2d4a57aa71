"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import (
    Concat,
    Flatten,
    Pad,
    Padding,
)

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Pad)
def _pad(op: Pad, node: Node, model: TfliteBuilder) -> None:
    pad_operator(node, model.activation(node.operand("x")), model.activation(node.output), op.padding, model)


@OPERATORS.implements(Flatten)
def _flatten(_: Flatten, node: Node, model: TfliteBuilder) -> None:
    x = node.operand("x")
    assert model.graph.tensors[x].shape[1:] == (1, 1), "in NHWC the values of a feature map would come in another order"
    source, target = model.activation(x), model.activation(node.output)
    reshape(f"{node.name}.shape", source, target, model.graph.tensors[node.output].shape, model)


@OPERATORS.implements(Concat)
def _concat(_: Concat, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.activation(x) for x in node.operands("xs")]
    options = {"axis": len(model.graph.tensors[node.output].shape), "fusedActivationFunction": 0}  # the last in NHWC
    code = code_of("CONCATENATION", node.output, model, 1, 2, 3)
    model.operator(*code, inputs, model.activation(node.output), ("ConcatenationOptions", options))


def pad_operator(node: Node, source: int, target: int, padding: Padding, model: TfliteBuilder) -> None:
    """PAD with real zeros; in an integer model those are the zero point, which the kernels see to."""
    rows = [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]
    inputs = [source, model.integers(f"{node.name}.paddings", rows)]
    model.operator(*code_of("PAD", node.output, model, 1, 2, 3), inputs, target, ("PadOptions", {}))


def reshape(name: str, source: int, target: int, shape: tuple[int, ...], model: TfliteBuilder) -> None:
    """RESHAPE to any batch of ``shape``, with ``name`` for the tensor that holds it.

    -1 for the batch, whatever it is, keeps XNNPACK in one piece, and a file that is resized whole.
    """
    wanted = [-1, *shape]
    inputs = [source, model.integers(name, wanted)]
    model.operator("RESHAPE", 1, inputs, target, ("ReshapeOptions", {"newShape": wanted}))
