"""Feature maps of another size, and the largest channel of each place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import ArgMax, Resize
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node


@FLOAT.implements(Resize)
def _resize(op: Resize, node: Node, writer: FloatWriter) -> str:
    x, (height, width) = writer.operand(node.operand("x")), op.size
    if not op.rounds_up:
        return f"torch.ops.aten.upsample_nearest2d({x}, [{height}, {width}], None, None)"
    if op.mode != ASYMMETRIC:
        return f"torch.ops.aten.upsample_bilinear2d({x}, [{height}, {width}], {op.mode == ALIGNED}, None, None)"
    # With the last row and column again, aligned corners are steps of H / H' from the first.
    larger = f"torch.ops.aten.replication_pad2d({x}, [0, 1, 0, 1])"
    resized = f"torch.ops.aten.upsample_bilinear2d({larger}, [{height + 1}, {width + 1}], True, None, None)"
    return f"{resized}[:, :, :{height}, :{width}]"


@INTEGER.implements(Resize)
def _resize_stored(op: Resize, node: Node, writer: IntegerWriter) -> str:
    """Nearest neighbours keep their integers (ATen/native/quantized/cpu/UpSampleNearest2d.cpp).

    But for maps of one pixel, whose strides do not tell their layout: torch 2.13 takes other channels for neighbours
    there. Interpolating between one value is repeating it.
    """
    x, (height, width) = writer.operand(node.operand("x")), op.size
    if not op.rounds_up and writer.model.graph.tensors[node.operand("x")].shape[1:] != (1, 1):
        return f"torch.ops.aten.upsample_nearest2d({x}, [{height}, {width}], None, None)"
    return writer.program.call(
        "resize", x, height, width, int(op.mode == ASYMMETRIC), op.mode != HALF_PIXEL,
        writer.scale(node.output), writer.zero_point(node.output),
    )  # fmt: skip


@FLOAT.implements(ArgMax)
def _arg_max(op: ArgMax, node: Node, writer: FloatWriter) -> str:
    return _largest(op, writer.operand(node.operand("x")))


@INTEGER.implements(ArgMax)
def _arg_max_stored(op: ArgMax, node: Node, writer: IntegerWriter) -> str:
    """Of integers as they are stored: nothing is rounded where they are interpolated, in float32."""
    x = writer.operand(node.operand("x"))
    if node.operand("x") in writer.model.params:
        x = f"{x}.int_repr()" if op.size is None else f"{x}.int_repr().to(torch.float32)"
    return _largest(op, x)


def _largest(op: ArgMax, x: str) -> str:
    if op.size is not None:
        height, width = op.size
        x = f"torch.ops.aten.upsample_bilinear2d({x}, [{height}, {width}], False, None, None)"
    return f"torch.argmax({x}, 1)"
