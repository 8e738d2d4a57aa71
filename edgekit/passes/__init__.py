"""Rewrites of a captured float Graph; each is exact in real arithmetic, one a file, and the order is one list.

``float_form`` is what float files are written from, ``integer_form`` what is quantized: the same graph with every
hard-swish as ADD and MUL, and every average of windows as a depthwise convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.graph import check
from edgekit.passes.absorb_scales import absorb_scales
from edgekit.passes.centre_clamp import centre_clamp
from edgekit.passes.fold_batch_norm import fold_batch_norm
from edgekit.passes.fold_constants import fold_constants
from edgekit.passes.fold_flatten import fold_flatten
from edgekit.passes.fold_padding import fold_padding
from edgekit.passes.fold_space_to_depth import fold_space_to_depth
from edgekit.passes.fuse_activation import fuse_activation
from edgekit.passes.lower_average_pool import lower_average_pool
from edgekit.passes.lower_clamp import lower_clamp
from edgekit.passes.lower_hard_sigmoid import lower_hard_sigmoid
from edgekit.passes.lower_hard_swish import lower_hard_swish
from edgekit.passes.lower_leaky_relu import lower_leaky_relu
from edgekit.passes.lower_transposed_convolution import lower_transposed_convolution
from edgekit.passes.merge_moves import merge_moves
from edgekit.passes.recognize_hard_swish import recognize_hard_swish
from edgekit.passes.remove_dead import remove_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.ir import Graph

    Pass = Callable[[Graph], Graph]

_FIRST: tuple[Pass, ...] = (
    recognize_hard_swish,  # first: what is recognised needs nothing that a later pass would rewrite
    remove_dead,  # what is not needed must not be rewritten, nor be an obstacle as a second reader
    merge_moves,
    fold_space_to_depth,  # behind merge_moves, which makes one part of a part of rows and one of columns
    remove_dead,
)
_BEFORE: tuple[Pass, ...] = (
    fold_batch_norm,  # everything later sees only weights and biases
    fold_padding,  # leaves the convolution as the only reader of its input
)
_AFTER: tuple[Pass, ...] = (
    lower_hard_sigmoid,  # makes the constant additions, clamps and scales that the next passes fold
    fold_constants,  # before absorb_scales: what fits into the layer before it needs no factor
    absorb_scales,
    fuse_activation,  # after all that stands between a layer and its clamp is gone
    merge_moves,  # those that a clamp stood between
    lower_clamp,  # those that no layer took
    lower_transposed_convolution,  # when it has taken in all that a layer takes
    fold_flatten,  # the passes before need not know means of two ranks
    remove_dead,  # paddings whose readers took them in
)
FLOAT_FORM: tuple[Pass, ...] = (*_FIRST, *_BEFORE, *_AFTER)
INTEGER_FORM: tuple[Pass, ...] = (
    *_FIRST,
    lower_average_pool,  # makes convolutions, which take batch normalization and padding in
    *_BEFORE,
    lower_hard_swish,  # after fold_batch_norm, when it can see what takes its first clamp
    lower_leaky_relu,  # makes a scale that the layer before it takes
    centre_clamp,  # makes constant additions, too
    *_AFTER,
)


def float_form(captured: Graph) -> Graph:
    """The canonical float graph: what one format or another has as an operator of its own, with fused clamps."""
    return _run(captured, FLOAT_FORM)


def integer_form(captured: Graph) -> Graph:
    """The canonical graph that is quantized: as ``float_form``, of operators with an integer form alone.

    But for those that have none anywhere, which are kept in float (``calibration.mixed_precision``).
    That is the profile ``universal``.
    """
    return _run(captured, INTEGER_FORM)


def _run(graph: Graph, passes: Sequence[Pass]) -> Graph:
    read = [name for node in graph for name in node.inputs if name in graph.constants]
    assert len(read) == len(set(read)), "a constant is shared, and passes rewrite constants in place"
    for rewrite in passes:
        graph = rewrite(graph)
        check(graph)
    return graph
