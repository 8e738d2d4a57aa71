"""Boxes and probabilities inside of a network: nodes in float behind its codings and logits.

**One arithmetic.** Only additions and multiplications of float32 are used, each of which IEEE 754 rounds to one number
everywhere, so that every runtime that does not fuse them makes the same boxes of the same codings, bit for bit. The
exponential function is that, too: with u = x / 16,

    exp(x) = exp(u) ** 16,    exp(u) = 1 + u + u² / 2 + … + u⁶ / 720    by Horner's rule,

which is nearer than 4e-6 of its value where boxes are at least a fiftieth of their prior ones.
``coding.decode`` computes the same in float64. Soft-max is the runtime's own, and differs in the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import factorial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.ir import Add, Clamp, Concat, Dequantize, Mul, Node, Output, Slice, Softmax, Tensor
from edgekit.ir.operators.slice import Part
from edgekit.tasks.detection.coding import CENTRE_VARIANCE, MOST_GROWTH, SIZE_VARIANCE

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Op
    from edgekit.models.priors import Priors

_SQUARINGS: Final = 4
_DEGREE: Final = 6
_LEAST_GROWTH: Final = -8.0  # of log(W / w): a box is no smaller than 3e-4 of its prior one
_INSIDE: Final = Clamp(0.0, 1.0)  # boxes are cut at the image


def decoded(
    graph: Graph, outputs: tuple[str, str], called: tuple[str, str], priors: Priors, quantized: Collection[str] = ()
) -> Graph:
    """``graph`` with boxes and probabilities in the place of codings and logits.

    Args:
        graph: of a detector, in float or with integers.
        outputs: names of its outputs of codings [N, A, 4] and logits [N, A, 1 + classes].
        called: what boxes [N, A, (left, top, right, bottom)], in shares of the image and cut at it, and probabilities
            [N, A, classes], without the background, are called.
        priors: the A prior boxes.
        quantized: names of the tensors that are integers.
    """
    tail = _Tail(graph, called[0])
    by_name = graph.named({output.tensor: output.tensor for output in graph.outputs})
    codings, logits = (tail.real(by_name[name], quantized) for name in outputs)
    boxes = tail.boxes(codings, priors.boxes)
    count, classes = tail.shape(logits)
    scores = tail.add("softmax", Softmax(2), (logits,), (count, classes))
    scores = tail.add("scores", Slice((Part(0, count), Part(1, classes - 1))), (scores,), (count, classes - 1))
    made = dict(zip(outputs, zip(called, (boxes, scores), strict=True), strict=True))
    given = tuple(Output(*made[one.name]) if one.name in made else one for one in graph.outputs)
    return graph.with_nodes((*graph.nodes, *tail.nodes), tail.tensors, tail.constants, outputs=given)


@dataclass(slots=True)
class _Tail:
    """Nodes behind a graph."""

    graph: Graph
    name: str
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def shape(self, tensor: str) -> tuple[int, ...]:
        known = self.tensors.get(tensor) or self.graph.tensors[tensor]
        return known.shape

    def add(
        self, name: str, op: Op, inputs: tuple[str, ...], shape: tuple[int, ...], activation: Clamp | None = None
    ) -> str:
        """A node, and the name of its output."""
        made = f"{self.name}.{name}"
        self.nodes.append(Node(made, op, inputs, made, activation))
        self.tensors[made] = Tensor(made, shape)
        return made

    def real(self, tensor: str, quantized: Collection[str]) -> str:
        """A tensor as reals."""
        if tensor not in quantized:
            return tensor
        made = f"{tensor}.float32"
        self.nodes.append(Node(made, Dequantize(), (tensor,), made))
        self.tensors[made] = Tensor(made, self.shape(tensor))
        return made

    def boxes(self, codings: str, priors: NDArray[np.float32]) -> str:
        """Left, top, right and bottom."""
        count, pair = self.shape(codings)[0], (self.shape(codings)[0], 2)
        centres, sizes = priors[:, :2].astype(np.float64), priors[:, 2:].astype(np.float64)
        moved = self.add("moved", Slice((Part(0, count), Part(0, 2))), (codings,), pair)
        grown = self.add("grown", Slice((Part(0, count), Part(2, 2))), (codings,), pair)
        centre = self._constant(
            "centre", Add(), self._constant("shift", Mul(), moved, CENTRE_VARIANCE * sizes), centres
        )
        growth = self._growth(grown)
        low = self._constant("less", Mul(), growth, -sizes / 2)
        high = self._constant("more", Mul(), growth, sizes / 2)
        ends = [self.add(name, Add(), (centre, half), pair, _INSIDE) for name, half in (("low", low), ("high", high))]
        return self.add("boxes", Concat(1), tuple(ends), (count, 4))

    def _growth(self, grown: str) -> str:
        """The exponential function of codings of sizes."""
        share = 2**_SQUARINGS
        bounds = Clamp(_LEAST_GROWTH / share, MOST_GROWTH / share)
        u = self._constant("u", Mul(), grown, SIZE_VARIANCE / share, bounds)
        result = self._constant(f"by{_DEGREE}", Mul(), u, 1 / factorial(_DEGREE))
        for degree in range(_DEGREE - 1, -1, -1):
            result = self._constant(f"plus{degree}", Add(), result, 1 / factorial(degree))
            if degree:
                result = self.add(f"by{degree}", Mul(), (result, u), self.shape(u))
        for squaring in range(_SQUARINGS):
            result = self.add(f"square{squaring}", Mul(), (result, result), self.shape(u))
        return result

    def _constant(
        self, name: str, op: Op, x: str, value: float | NDArray[np.float64], activation: Clamp | None = None
    ) -> str:
        """What ``op`` makes of ``x`` and a constant."""
        key = f"{self.name}.{name}.constant"
        self.constants[key] = np.atleast_1d(np.asarray(value, np.float64)).astype(np.float32)
        return self.add(name, op, (x, key), self.shape(x), activation)
