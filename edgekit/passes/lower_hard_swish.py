"""Hard-swish as ADD and MUL, which fast int8 kernels have where they lack HARD_SWISH.

Given   y = x relu6(x + 3) / 6
Result  b = max(x, -3);  a = b + 3;  c = clamp(a, 0, 6);  p = b c;  y = p * (1/6)

Below -3 hard-swish is 0 whatever x is, so x need not be represented there: the first clamp gives the integer grid of x
to the values that matter. It is left out where something else reads x too, and where x is made by what takes no clamp.
``absorb_scales`` removes the 1/6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Clamp, Graph, HardSwish, Lowered, Mul, Node, Tensor
from edgekit.passes.lower_hard_sigmoid import LIMIT, SHIFT
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SWISH = Pattern(HardSwish)


def lower_hard_swish(graph: Graph) -> Graph:
    """Rewrite every HardSwish."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        if _SWISH.match(node) is None:
            nodes.append(node)
            continue
        bounded, shifted, clamped, product, three, sixth = (
            f"{node.name}.{part}" for part in ("input", "shift", "relu6", "product", "three", "sixth")
        )
        x, shape = node.operand("x"), graph.tensors[node.output].shape
        producer = graph.producer(x)
        if producer is not None and producer.op.takes_clamp and has_one_reader(graph, x):
            nodes.append(Node(bounded, Clamp(-SHIFT), (x,), bounded))
            tensors[bounded] = Tensor(bounded, shape)
            x = bounded
        tensors |= {name: Tensor(name, shape) for name in (shifted, clamped, product)}
        constants |= {three: np.array([SHIFT], np.float32), sixth: np.array([1 / LIMIT], np.float32)}
        parts = (
            Node(shifted, Add(), (x, three), shifted),
            Node(clamped, Clamp(0.0, LIMIT), (shifted,), clamped),
            Node(product, Mul(), (x, clamped), product),
            Node(node.name, Mul(), (product, sixth), node.output),
        )
        nodes += [replace(part, lowered=Lowered(node.name, HardSwish.__name__)) for part in parts]
    return graph.with_nodes(nodes, tensors, constants)
