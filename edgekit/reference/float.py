"""The float interpreter: every operator in float64, so that rewrites of a graph can be checked to the last digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.reference.interpreter import interpret
from edgekit.reference.operators import FLOAT, clamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node


class FloatReference:
    """Runs a float graph, captured or rewritten."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._constants = {name: array.astype(np.float64) for name, array in graph.constants.items()}

    def run(self, x: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """The outputs by name for normalized images [N, C, H, W]."""
        return self.graph.named(self.run_all(x, keep=self.graph.output_tensors))

    def run_all(self, x: NDArray[np.floating], keep: tuple[str, ...] | None = None) -> dict[str, NDArray[np.float64]]:
        """Every tensor by name (or those in ``keep``) for normalized images [N, C, H, W]."""
        keep = tuple(self.graph.tensors) if keep is None else keep
        return interpret(self.graph, x.astype(np.float64), self._constants, compute, keep)


def compute(node: Node, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    """The output of a float node, clamped, for its inputs in float64."""
    y: NDArray[np.float64] = FLOAT[node](*inputs)
    return y if node.activation is None else clamp(node.activation, y)
