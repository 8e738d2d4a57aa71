"""What an error in one tensor alone does to the outputs, computed by running the rest of the network on it.

It is exact, not a gradient: large errors, as clipping makes them, count as what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.executor.float import FloatExecutor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Graph
    from edgekit.quantization import QuantParams


class OutputError:
    """Relative squared errors of the outputs, for replaced values of single tensors.

    Attributes:
        values: every tensor of the float network, by name, [N, ...].
    """

    def __init__(self, graph: Graph, images: NDArray[np.float32], executor: FloatExecutor | None = None) -> None:
        """Run the network once.

        Args:
            graph: canonical, in float.
            images: normalized, [N, C, H, W]; few, because every tensor of every image is kept.
            executor: of the graph, where it is more than the plain one.
        """
        self._graph, self._executor = graph, executor or FloatExecutor(graph)
        self._place = {node.output: i for i, node in enumerate(graph)} | {graph.input: -1}
        self.values: dict[str, torch.Tensor] = {}
        with torch.inference_mode():
            self._executor(torch.from_numpy(images), self.values.__setitem__)
        self._outputs = graph.named(self.values)
        self._powers = {name: float(z.double().square().sum()) or 1.0 for name, z in self._outputs.items()}

    def of(self, tensor: str, value: torch.Tensor) -> float:
        """||z' - z||^2 / ||z||^2 of an output z, where z' is it with ``value`` in the place of ``tensor``.

        Of several outputs, the mean: each counts the same, whatever its units and its size.
        """
        changed = self.outputs(tensor, value)
        errors = (
            float((changed[name] - z).double().square().sum()) / self._powers[name] for name, z in self._outputs.items()
        )
        return sum(errors) / len(self._outputs)

    def outputs(self, tensor: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs by name with ``value`` in the place of ``tensor``."""
        replaced = {tensor: value}

        def known(name: str) -> torch.Tensor:
            found = replaced.get(name, self.values.get(name))
            return self._executor.constant(name) if found is None else found

        with torch.inference_mode():
            for node in self._graph.nodes[self._place[tensor] + 1 :]:
                if any(name in replaced for name in node.inputs):
                    replaced[node.output] = self._executor.compute(node, [known(name) for name in node.inputs])
        return self._graph.named({name: replaced.get(name, self.values[name]) for name in self._graph.output_tensors})


def fake_quantized(value: torch.Tensor, params: QuantParams) -> torch.Tensor:
    """The reals that the stored integers of ``value`` stand for; one scale, float32."""
    limits, scale = np.iinfo(params.dtype), float(params.scale[0])
    stored = (value / scale).round().clamp(limits.min - params.zero_point, limits.max - params.zero_point)
    return stored * scale
