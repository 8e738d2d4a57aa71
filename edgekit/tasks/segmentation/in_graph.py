"""Behind the logits of a network: the class of each place (``edgekit.ir.operators.arg_max``), or larger logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir import MASK, ArgMax, Dequantize, Node, Output, Resize, Tensor
from edgekit.ir.operators.resize import HALF_PIXEL
from edgekit.tasks.segmentation.task import CLASSES

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.ir import Graph


def classed(graph: Graph, output: str, called: str, size: tuple[int, int] | None) -> Graph:
    """``graph`` with classes in the place of logits.

    Args:
        graph: of a segmenter, in float or with integers.
        output: the name of its output of logits [N, classes, h, w].
        called: what the classes [N, H, W], from 0, are called.
        size: (H, W) to which logits are interpolated before (``masks.mask_of``); None for their own.
    """
    logits = next(one.tensor for one in graph.outputs if one.name == output)
    op, made = ArgMax(size), f"{called}.largest"
    shape = op.output_shape(graph.tensors[logits].shape)
    given = tuple(Output(called, made, CLASSES) if one.name == output else one for one in graph.outputs)
    nodes = (*graph.nodes, Node(made, op, (logits,), made))
    return graph.with_nodes(nodes, {made: Tensor(made, shape, axes=MASK)}, outputs=given)


def enlarged(graph: Graph, output: str, size: tuple[int, int], quantized: Collection[str] = ()) -> Graph:
    """``graph`` with logits that are interpolated in float (``masks.logits_of``).

    Args:
        graph: of a segmenter, in float or with integers.
        output: the name of its output of logits [N, classes, h, w], which keeps it.
        size: (H, W) of what takes their place.
        quantized: names of the tensors that are integers.
    """
    given = next(one for one in graph.outputs if one.name == output)
    nodes, reals, (channels, *own) = [*graph.nodes], given.tensor, graph.tensors[given.tensor].shape
    tensors = dict[str, Tensor]()
    if reals in quantized:
        reals = f"{given.tensor}.float32"
        nodes.append(Node(reals, Dequantize(), (given.tensor,), reals))
        tensors[reals] = Tensor(reals, (channels, *own))
    made = f"{given.tensor}.enlarged"
    nodes.append(Node(made, Resize(size, HALF_PIXEL), (reals,), made))
    tensors[made] = Tensor(made, (channels, *size))
    outputs = tuple(Output(output, made, given.role) if one is given else one for one in graph.outputs)
    return graph.with_nodes(tuple(nodes), tensors, outputs=outputs)
