"""Hard-sigmoid in operators that every integer kernel has.

Given   y = relu6(x + 3) / 6
Result  a = x + 3;  c = clamp(a, 0, 6);  y = c * (1/6)

The +3 then becomes part of a bias (``fold_constants``), the clamp part of the convolution's range
(``fuse_activation``), and the 1/6 part of the weights behind it (``absorb_scales``): nothing is left of the operator.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Clamp, Graph, HardSigmoid, Lowered, Mul, Node, Tensor
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGMOID = Pattern(HardSigmoid)
SHIFT, LIMIT = 3.0, 6.0  # hard-sigmoid(x) = relu6(x + 3) / 6: MobileNetV3, arXiv:1905.02244, section 5.2


def lower_hard_sigmoid(graph: Graph) -> Graph:
    """Rewrite every HardSigmoid."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        if _SIGMOID.match(node) is None:
            nodes.append(node)
            continue
        shifted, clamped, three, sixth = (f"{node.name}.{part}" for part in ("shift", "relu6", "three", "sixth"))
        shape = graph.tensors[node.output].shape
        tensors |= {name: Tensor(name, shape) for name in (shifted, clamped)}
        constants |= {three: np.array([SHIFT], np.float32), sixth: np.array([1 / LIMIT], np.float32)}
        parts = (
            Node(shifted, Add(), (node.operand("x"), three), shifted),
            Node(clamped, Clamp(0.0, LIMIT), (shifted,), clamped),
            Node(node.name, Mul(), (clamped, sixth), node.output),
        )
        nodes += [replace(part, lowered=Lowered(node.name, HardSigmoid.__name__)) for part in parts]
    return graph.with_nodes(nodes, tensors, constants)
