"""What each tensor, and the weights of each layer, do to the logits if they alone are quantized, all else in float.

A tensor's own error does not tell: some errors the rest of the network forgets, others it multiplies. So each part is
quantized with exactly the parameters of the integer model, and the rest of the network is run on it: sensitivity
analysis, one factor at a time.

The float network has the form that was quantized: channels equalized, and the normalization folded into the first
convolution where the integer model has it there. What that fold changes at the border of the picture
(``assignment.fold_normalization``) is the harm that the input does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.calibration.assignment import fold_normalization
from edgekit.calibration.equalization import equalize
from edgekit.calibration.sensitivity import OutputError
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Ranges
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node
    from edgekit.quantization import QuantParams

BATCH_SIZE = 8  # every tensor of so many images is held at once: 27 MB an image of MobileNetV2 at 224


class Part(StrEnum):
    """What of a layer is quantized."""

    ACTIVATION = "activation"  # the tensor that it makes
    WEIGHTS = "weights"  # and its bias, as it was corrected


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Alone:
    """Logits with one part of the network quantized.

    Attributes:
        layer: its name in the checkpoint; of the input, the name of its tensor.
        part: what is quantized.
        logits: with that part quantized, [N, classes].
        reference: with nothing quantized, likewise.
    """

    layer: str
    part: Part
    logits: NDArray[np.float32]
    reference: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)  # likewise
class OneAtATime:
    """Logits [N, classes] with some of the network quantized.

    Attributes:
        alone: single parts, in the order of the network. What stays in float, and the borders around it, are left out.
        activations: with all activations quantized, and no weights.
        weights: with all weights quantized, and no activations.
        floats: with nothing quantized.
    """

    alone: tuple[Alone, ...]
    activations: NDArray[np.float32]
    weights: NDArray[np.float32]
    floats: NDArray[np.float32]


def quantize_one_at_a_time(
    model: FloatModel,
    ranges: Ranges,
    integers: IntegerModel,
    pixels: NDArray[np.uint8],
    *,
    progress: Progress = silent,
) -> OneAtATime:
    """Run the network with each of its parts quantized alone.

    Args:
        model: in ``passes.integer_form``.
        ranges: of its tensors.
        integers: the integer model that follows from them.
        pixels: the images, [N, H, W, 3].
        progress: told after every batch.
    """
    graph = equalize(model, ranges.gains).graph
    if integers.pixel_input:
        graph, _ = fold_normalization(graph, model.preprocessing.normalization)
    given, rounded = FloatExecutor(model.graph), FloatExecutor(_with_integers(graph, integers))
    quantizing = _Quantizing(graph, integers.params)
    parts = [(node, part) for node in graph for part in Part if _is_quantized(node, part, integers)]

    def run(batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        images = torch.from_numpy(integers.normalization(batch))
        errors = OutputError(graph, images.numpy())

        def alone(tensor: str) -> torch.Tensor:
            return errors.logits(tensor, fake_quantized(errors.values[tensor], integers.params[tensor]))

        def with_integers(node: Node) -> torch.Tensor:
            known = [errors.values[name] if name in errors.values else rounded.constant(name) for name in node.inputs]
            return errors.logits(node.output, rounded.compute(node, known))

        found = [given(torch.from_numpy(model.preprocessing.normalization(batch))), errors.values[graph.outputs[0]]]
        found += [quantizing(images), rounded(images), alone(graph.input)]
        found += [alone(node.output) if part is Part.ACTIVATION else with_integers(node) for node, part in parts]
        return [logits.numpy() for logits in found]

    batches = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH_SIZE):
            progress("quantizing one at a time", start, len(pixels))
            batches.append(run(pixels[start : start + BATCH_SIZE]))
    progress("quantizing one at a time", len(pixels), len(pixels))
    floats, folded, activations, weights, of_input, *others = map(np.concatenate, zip(*batches, strict=True))
    alone = [Alone(graph.input, Part.ACTIVATION, of_input, reference=floats)]
    alone += [Alone(node.name, part, logits, folded) for (node, part), logits in zip(parts, others, strict=True)]
    return OneAtATime(tuple(alone), activations, weights, floats)


def fake_quantized(value: torch.Tensor, params: QuantParams) -> torch.Tensor:
    """The reals that the stored integers of ``value`` stand for; one scale, float32."""
    limits, scale = np.iinfo(params.dtype), float(params.scale[0])
    stored = (value / scale).round().clamp(limits.min - params.zero_point, limits.max - params.zero_point)
    return stored * scale


def _is_quantized(node: Node, part: Part, integers: IntegerModel) -> bool:
    if part is Part.ACTIVATION:
        return node.output in integers.params
    return any(name in integers.params and name in integers.graph.constants for name in node.inputs)


def _with_integers(graph: Graph, integers: IntegerModel) -> Graph:
    """``graph`` with what the integer model's weights, biases and other constants stand for."""
    constants = integers.graph.constants
    reals = {
        name: integers.real_constant(node, name).astype(np.float32)
        for node in integers.graph
        for name in node.inputs
        if name in constants
    }
    return graph.with_nodes(graph.nodes, constants=reals)


class _Quantizing(FloatExecutor):
    """Quantizes every activation as it is made, and no weights."""

    def __init__(self, graph: Graph, params: Mapping[str, QuantParams]) -> None:
        super().__init__(graph)
        self.params = params

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        return fake_quantized(x, self.params[self.graph.input])

    def compute(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().compute(node, inputs)
        return fake_quantized(y, self.params[node.output]) if node.output in self.params else y
