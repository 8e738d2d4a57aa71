"""Equal ranges for the channels behind the first convolution.

One scale serves all channels of a tensor. Behind the first hard-swish of a MobileNetV3 the largest channel reaches
twenty-five times as far as the smallest, whose information then falls between two steps. Scaling every channel by a
factor of its own, and the weights that read it by the inverse, changes nothing in float and gives all channels the full
grid: cross-layer equalization (Nagel et al., arXiv:1906.04721, section 4.1), here through a hard-swish, which
``passes.gate_convolution`` has made possible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.ir import Add, Conv2d, Mul

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node

    Gains = Mapping[str, Sequence[float] | NDArray[np.float64]]
SMALLEST = 2.0**-6  # a channel's range counts as at least this part of the largest: dead channels are not amplified
GATE_OPENS = 3.0  # below -3 hard-swish is 0 whatever its input is (arXiv:1905.02244, section 5.2)


def find_gains(model: FloatModel, images: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """What to multiply each channel behind the first convolution by, [C], by tensor; empty where it does not apply.

    Afterwards every channel reaches as far as 3, so that hard-swish's first clamp at -3 still takes away what does not
    matter, and nothing else of what these images show.

    Args:
        model: in ``passes.integer_form``.
        images: normalized, [N, C, H, W].
    """
    gated = _gated(model.graph)
    if gated is None:
        return {}
    until = model.graph.nodes.index(gated)
    stem = model.graph.with_nodes(model.graph.nodes[: until + 1], outputs=(gated.output,))
    reach: list[NDArray[np.float64]] = []

    def observe(name: str, value: torch.Tensor) -> None:
        if name == gated.inputs[0]:
            low, high = (x.double().numpy() for x in (value.amin((0, 2, 3)), value.amax((0, 2, 3))))
            reach.append(np.maximum(high, np.minimum(-low, GATE_OPENS)))

    with torch.inference_mode():
        FloatExecutor(stem)(torch.from_numpy(images), observe)
    (found,) = reach
    return {gated.output: GATE_OPENS / np.maximum(found, found.max() * SMALLEST)}


def equalize(model: FloatModel, gains: Gains) -> FloatModel:
    """``model`` with every channel of the named tensors multiplied by its gain; the same function of the image.

    A convolution that makes such a tensor multiplies its rows, one that reads it divides its columns. A sum or a
    product passes the gains on to its operands and its result.
    """
    graph = model.graph
    for name, gain in gains.items():
        graph = _scale_channels(graph, name, np.asarray(gain))
    return replace(model, graph=graph)


def _gated(graph: Graph) -> Node | None:
    """The product of a convolution of the image with its gate, if all tensors that belong to it can take gains."""
    for node in graph:
        if isinstance(node.op, Mul):
            x, gate = (graph.producer(name) for name in node.inputs)
            of_image = x is not None and isinstance(x.op, Conv2d) and x.inputs[0] == graph.input
            if of_image and gate is not None and isinstance(gate.op, Conv2d) and gate.inputs[0] == node.inputs[0]:
                return node if _family(graph, node.output) is not None else None
    return None


def _family(graph: Graph, name: str) -> set[str] | None:
    """All tensors that have to carry the same gains as ``name``; None where one of them cannot."""
    family: set[str] = set()
    waiting = [name]
    while waiting:
        tensor = waiting.pop()
        if tensor in family:
            continue
        family.add(tensor)
        maker = graph.producer(tensor)
        if maker is None or tensor in graph.outputs:
            return None
        if isinstance(maker.op, Add):
            waiting += maker.inputs
        elif isinstance(maker.op, Mul):
            waiting.append(maker.inputs[0])
        elif not isinstance(maker.op, Conv2d):
            return None
        for reader in graph.consumers(tensor):
            if isinstance(reader.op, Add | Mul):
                waiting.append(reader.output)
            elif not isinstance(reader.op, Conv2d):
                return None
    return family if all(member in graph.tensors for member in family) else None


def _scale_channels(graph: Graph, name: str, gain: NDArray[np.float64]) -> Graph:
    family = _family(graph, name)
    assert family is not None, f"{name} cannot take gains"
    constants: dict[str, NDArray[Any]] = dict(graph.constants)
    nodes = []
    for node in graph:
        if isinstance(node.op, Conv2d):
            weight, bias = node.inputs[1:]
            if node.inputs[0] in family:  # [O, I, kH, kW]; depthwise: [C, 1, kH, kW]
                columns = (slice(None), None) if node.op.groups > 1 else (None, slice(None))
                constants[weight] = (constants[weight] / gain[(*columns, None, None)]).astype(np.float32)
            if node.output in family:
                constants[weight] = (constants[weight] * gain[:, None, None, None]).astype(np.float32)
                constants[bias] = (constants[bias] * gain).astype(np.float32)
        nodes.append(node)
    tensors = {
        member: replace(graph.tensors[member], factor=tuple((np.asarray(graph.tensors[member].factor) * gain).tolist()))
        for member in family
    }
    return graph.with_nodes(nodes, tensors, constants)
