"""How far float32 sums of many like terms drift, where integers are only simulated.

Integer kernels add up integers. ONNX Runtime without optimization, and Core ML, add up the reals that these stand for,
and round every partial sum. Where terms differ, such errors are of either sign and cancel: no useful bound holds, and
nothing but measuring tells (``docs/identity.md``). Where they are equal, as in the mean of a black image or of a dead
channel, all err to the same side: 16,384 of them were off by a step. So of sums of like terms, which are means and
layers whose weights are the same all over the window, a simulation is claimed to be exact only where a bound says so:

    K terms of at most T in magnitude are added up in any order. Whatever the order, the partial sums that are rounded
    are of at most 2 T, 3 T, ..., K T, so that with u = 2**-24 the sum is off by u T K (K + 1) / 2. Each term is
    off by 3 u of itself before (its input, its weight, their product): u T 3 K. With the ratio p / q, weights w, and
    B for the farthest input from its zero point, T is B w p / q steps of the output. A bias of b accumulator steps has
    three roundings of its own and is added with one: 4 u b p / q. Three stored scales, the division by K (two, where
    the kernel multiplies by 1 / K), that by the scale of the output, and what is of the second order take at most 8 u
    of a result that does not saturate, which is at most 256 steps. All of it is less than the 1 / (2 q) that separates
    the result from a tie (``edgekit.quantization``) if

        p (B w K (K + 7) / 2 + 4 b) + 2048 q < 2**23

    where b counts no further than B w K + 512 q / p, beyond which every result saturates.

    Means are simulated by ONNX Runtime alone (Core ML's are of whole steps), whose MlasPoolGlobalKernel
    (core/mlas/lib/pooling.cpp) deals the terms out to 4 lanes, adds these up, and then up to 3 terms that are left.
    That rounds sums of K (K / 4 + 1) / 2 + 5 K terms, so that K (K / 4 + 17) / 2 takes the place of K (K + 7) / 2.

With weights of 1 that is so of windows of 9 for p up to 400, of 49 for p up to 20, and of 256 for none; of means over
49 places for p up to 40, and over 500 for none. With weights of 127, as other layers have them, it is so of no K above
18.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import Add, Conv2d, Linear, Mean, Mul, Op, Sigmoid
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node
    from edgekit.quantization import QuantParams, Ratio

_LIMIT = 2**23  # half of 1 / u
_RESULT = 2048  # 8 roundings of at most 256 steps
_SATURATED = 512  # steps: farther from the zero point than any int8


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class LikeTerms:
    """Sums of inputs that have one weight.

    Attributes:
        number: of the terms of a sum.
        weight: of each channel, [O] or [1], its magnitude as an integer.
        bias: likewise.
        in_lanes: they are added up in 4 lanes; else in any order.
    """

    number: int
    weight: NDArray[np.int64]
    bias: NDArray[np.int64]
    in_lanes: bool = False

    def are_proven(self, ratio: Ratio, zero_point: int) -> bool:
        """Whether the bound keeps every sum on its side of a tie; ``zero_point`` is that of the inputs."""
        reach = max(INT8_MAX - zero_point, zero_point - INT8_MIN)
        summed = self.number / 4 + 17 if self.in_lanes else self.number + 7  # in halves of K terms: see the docstring
        largest = reach * self.weight * self.number
        # A bias of more than the terms and 512 steps together leaves no result that does not saturate.
        bias = np.minimum(self.bias, largest + _SATURATED * ratio.denominator / ratio.numerator)
        drift = largest * summed / 2 + 4 * bias
        return bool((ratio.numerator * drift + _RESULT * ratio.denominator < _LIMIT).all())


def _requantizing(op: type[Op]) -> str:
    return "" if op.requantizes else "it requantizes nothing"


# Of an integer node: its sums of like terms, if it makes any.
LIKE_TERMS: OperatorTable[[Graph, Node], LikeTerms | None] = OperatorTable("the bound of float sums", _requantizing)


@LIKE_TERMS.implements(Conv2d, Linear)
def _of_layer(_: Op, graph: Graph, node: Node) -> LikeTerms | None:
    weight, bias = (graph.constants[name] for name in node.read("weight", "bias"))
    if not is_uniform(weight):
        return None
    magnitudes, biases = (np.abs(array.astype(np.int64)) for array in (weight, bias))
    return LikeTerms(weight[0].size, magnitudes.reshape(len(weight), -1)[:, 0], biases)


@LIKE_TERMS.implements(Mean)
def _of_mean(_: Mean, graph: Graph, node: Node) -> LikeTerms:
    count = math.prod(graph.tensors[node.operand("x")].shape[1:])
    return LikeTerms(count, np.ones(1, np.int64), np.zeros(1, np.int64), in_lanes=True)


@LIKE_TERMS.implements(Add, Mul, Sigmoid)
def _none(_: Op, __: Graph, ___: Node) -> None:
    """Two terms at most."""


def is_uniform(weight: NDArray[Any]) -> bool:
    """Whether each output channel has the same weight all over its window: that of an average pool does.

    Args:
        weight: [O, I, H, W] or [O, I], of more than one number an output channel.
    """
    flat = weight.reshape(len(weight), -1)
    return flat.shape[1] > 1 and bool((flat == flat[:, :1]).all())


def unproven(graph: Graph, node: Node, ratio: Ratio, x: QuantParams) -> str:
    """Why ``node`` can be a step off where its sums are in float32, as the end of a sentence; "" where it cannot.

    Args:
        graph: of the integer model.
        node: of it, which requantizes.
        ratio: of the node.
        x: parameters of what it reads.
    """
    terms = LIKE_TERMS[node](graph, node)
    if terms is None or terms.are_proven(ratio, x.zero_point):
        return ""
    return f"float32 sums of {terms.number:,} like terms can drift over a tie"
