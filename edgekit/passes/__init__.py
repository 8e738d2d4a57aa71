"""Rewrites of a captured float Graph; each is exact in real arithmetic, one a file, and the order is one list.

``float_form`` is what float files are written from, ``integer_form`` what is quantized: the same graph with every
hard-swish as ADD and MUL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.graph import check
from edgekit.passes.absorb_scales import absorb_scales
from edgekit.passes.fold_batch_norm import fold_batch_norm
from edgekit.passes.fold_constant_add import fold_constant_add
from edgekit.passes.fold_flatten import fold_flatten
from edgekit.passes.fold_padding import fold_padding
from edgekit.passes.fuse_activation import fuse_activation
from edgekit.passes.lower_hard_sigmoid import lower_hard_sigmoid
from edgekit.passes.lower_hard_swish import lower_hard_swish
from edgekit.passes.remove_dead import remove_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.ir import Graph

    Pass = Callable[[Graph], Graph]

CANONICAL: tuple[Pass, ...] = (
    remove_dead,  # what is not needed must not be rewritten, nor be an obstacle as a second reader
    fold_batch_norm,  # first of the rewrites: everything later sees only weights and biases
    fold_padding,  # leaves the convolution as the only reader of its input
    lower_hard_sigmoid,  # makes the constant additions, clamps and scales that the next passes fold
    fold_constant_add,  # before fuse_activation: a bias is added before the clamp
    fuse_activation,
    absorb_scales,  # after fuse_activation: a fused clamp is scaled along with its layer
    fold_flatten,  # last: the other passes need not know means of two ranks
    remove_dead,  # paddings whose readers took them in
)


def float_form(captured: Graph) -> Graph:
    """The canonical float graph: Conv2d, Linear, Add, Mul, Mean, Pad, Flatten and HardSwish, with fused clamps."""
    return _run(captured, CANONICAL)


def integer_form(captured: Graph) -> Graph:
    """The canonical graph that is quantized: as ``float_form``, without HardSwish (profile ``universal``)."""
    return _run(captured, (lower_hard_swish, *CANONICAL))


def _run(graph: Graph, passes: Sequence[Pass]) -> Graph:
    for rewrite in passes:
        graph = rewrite(graph)
        check(graph)
    return graph
