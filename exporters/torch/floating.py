"""The float model as a TorchScript program of torch's own operators.

A float16 file stores its weights in half precision, and converts them where they are used: half the size at the speed
of float32 (converting takes 2 % of a MobileNetV2's time, and ``torch.jit.freeze`` folds it away). Convolutions that
compute in half precision take ten to thirty times as long, measured with torch 2.13 on x86.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgekit import files
from edgekit.exporters import metadata
from edgekit.exporters.metadata import Head, IoDtype, Precision
from edgekit.exporters.summary import Endpoint
from edgekit.exporters.torch import script
from edgekit.exporters.torch.texts import Texts
from edgekit.ir import Add, Clamp, Conv2d, Flatten, HardSwish, Linear, Mean, Mul, Pad
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Writer:
    """A float graph on its way into a program."""

    graph: Graph
    program: script.Program
    half: bool

    def operand(self, name: str) -> str:
        """The expression that reads an activation or a constant."""
        if name in self.graph.tensors:
            return self.program.variable(name)
        value = torch.tensor(self.graph.constants[name], dtype=torch.float16 if self.half else torch.float32)
        # One element as [1], which broadcasts to [N, C, H, W] and to [N, C].
        stored = self.program.attribute(name, value.reshape(1) if value.numel() == 1 else value)
        return f"{stored}.to(torch.float32)" if self.half else stored


def write_node(node: Node, writer: Writer) -> None:
    """Append a node with its fused clamp."""
    writer.program.assign(node.output, _clamped(OPERATORS[node](node, writer), node.activation))


def _clamped(expression: str, activation: Clamp | None) -> str:
    """``expression`` within a fused clamp."""
    match activation:
        case None:
            return expression
        case Clamp(low=0.0, high=math.inf):
            return f"torch.relu({expression})"
        case Clamp(low=low, high=math.inf):
            return f"torch.clamp_min({expression}, {low!r})"
        case Clamp(low=low, high=high):
            return f"torch.clamp({expression}, {low!r}, {high!r})"


# --- one function an operator: it returns the expression whose value is the node's output, before a fused clamp -----

OPERATORS: OperatorTable[Callable[[Node, Writer], str]] = OperatorTable("torch")


@OPERATORS.implements(Conv2d)
def _conv2d(node: Node, writer: Writer) -> str:
    assert isinstance(node.op, Conv2d)
    x, weight, bias = map(writer.operand, node.inputs)
    padding = script.symmetric(node.op.padding)
    if padding is None:
        x, padding = script.padded(x, node.op.padding), (0, 0)
    return f"torch.conv2d({x}, {weight}, {bias}, {list(node.op.stride)}, {list(padding)}, [1, 1], {node.op.groups})"


@OPERATORS.implements(Linear)
def _linear(node: Node, writer: Writer) -> str:
    x, weight, bias = map(writer.operand, node.inputs)
    return f"torch.ops.aten.linear({x}, {weight}, {bias})"


@OPERATORS.implements(Add)
def _add(node: Node, writer: Writer) -> str:
    a, b = map(writer.operand, node.inputs)
    return f"torch.add({a}, {b})"


@OPERATORS.implements(Mul)
def _mul(node: Node, writer: Writer) -> str:
    a, b = map(writer.operand, node.inputs)
    return f"torch.mul({a}, {b})"


@OPERATORS.implements(Mean)
def _mean(node: Node, writer: Writer) -> str:
    assert isinstance(node.op, Mean)
    return f"torch.mean({writer.operand(node.inputs[0])}, [2, 3], {node.op.keep_dims})"


@OPERATORS.implements(Pad)
def _pad(node: Node, writer: Writer) -> str:
    assert isinstance(node.op, Pad)
    return script.padded(writer.operand(node.inputs[0]), node.op.padding)


@OPERATORS.implements(Flatten)
def _flatten(node: Node, writer: Writer) -> str:
    return f"torch.flatten({writer.operand(node.inputs[0])}, 1)"


@OPERATORS.implements(HardSwish)
def _hard_swish(node: Node, writer: Writer) -> str:
    return f"torch.ops.aten.hardswish({writer.operand(node.inputs[0])})"


# --- the whole file -------------------------------------------------------------------------------------------------


def add_head(program: script.Program, head: Head) -> None:
    """Append the method ``probabilities``, if there is to be one: what ``forward`` gives stays the logits."""
    match head:
        case Head.SOFTMAX:
            program.also(metadata.PROBABILITIES, "torch.softmax(y, 1)")
        case Head.SIGMOID:
            program.also(metadata.PROBABILITIES, "torch.sigmoid(y)")


def write_float_model(model: FloatModel, path: Path, *, precision: Precision, head: Head = Head.LOGITS) -> None:
    """Write ``model`` to ``path`` as a TorchScript file: it needs torch alone, float32 in and out.

    [N, C, H, W] -> [N, classes].

    Args:
        model: a canonical float graph.
        path: the file, ``.pt`` by custom.
        precision: float32, or float16 for the weights.
        head: what a method ``probabilities`` makes of the logits, which are what ``forward`` gives.

    Raises:
        UnsupportedOperator: the graph holds an operator that is not in ``OPERATORS``.
        BadInput: the file cannot be written.
    """
    graph, program = model.graph, script.Program()
    writer = Writer(graph, program, half=precision is Precision.FLOAT16)
    (output,) = graph.outputs

    program.takes(graph.input)
    for node in graph:
        write_node(node, writer)
    program.returns(program.variable(output))
    add_head(program, head)

    texts = Texts(
        metadata.of_float_model(model, precision, head),
        Endpoint(graph.input, IoDtype.FLOAT32, (-1, *graph.tensors[graph.input].shape)),
        Endpoint(output, IoDtype.FLOAT32, (-1, *graph.tensors[output].shape)),
    )
    files.write_bytes(path, program.to_bytes(texts.to_extra_files()))
