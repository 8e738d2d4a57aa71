"""The class of each place inside of a network: one node behind its logits (``edgekit.ir.operators.arg_max``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir import MASK, ArgMax, Node, Output, Tensor
from edgekit.tasks.segmentation.task import CLASSES

if TYPE_CHECKING:
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
