"""A signature for each head of a network: the operators that it needs, and no others, over the same weights.

A signature runs a subgraph of its own, so a caller who asks for one head does not pay for the rest. Subgraphs name the
same buffers: the file grows by what describes operators and tensors, not by weights.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE: Final = "serving_default"  # TensorFlow's name of the usual signature, and that of all outputs here
_OPTIONAL: Final = -1  # lite/c/common.h: kTfLiteOptionalTensor


def alone(graph: Any, name: str | bytes, outputs: Sequence[int]) -> Any:  # noqa: ANN401 - generated classes
    """A subgraph that makes some outputs of another one.

    Args:
        graph: the generated SubGraphT; it is left as it is, and tensors are shared with it.
        name: of the new one; bytes in what was read from a file.
        outputs: indices of tensors of ``graph``.

    Returns:
        A SubGraphT whose tensors and operators stand in the order of ``graph``.
    """
    wanted, kept = set(map(int, outputs)), []
    for operator in reversed(graph.operators):
        if wanted.intersection(map(int, operator.outputs)):
            wanted.update(int(index) for index in operator.inputs if index != _OPTIONAL)
            wanted.update(map(int, operator.outputs))
            kept.append(operator)
    wanted.update(map(int, graph.inputs))
    place = {index: position for position, index in enumerate(sorted(wanted))} | {_OPTIONAL: _OPTIONAL}

    def renumbered(indices: Sequence[int]) -> Any:  # noqa: ANN401 - as the generated classes have it
        return np.array([place[int(index)] for index in indices], np.int32)

    found = copy.copy(graph)
    found.name, found.tensors = name, [graph.tensors[index] for index in sorted(wanted)]
    found.inputs, found.outputs = renumbered(graph.inputs), renumbered(outputs)
    found.operators = []
    for operator in reversed(kept):
        own = copy.copy(operator)
        own.inputs, own.outputs = renumbered(operator.inputs), renumbered(operator.outputs)
        found.operators.append(own)
    return found
