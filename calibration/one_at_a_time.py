"""What each tensor, and the weights of each layer, do to a network's outputs if they alone are quantized.

A tensor's own error does not tell: some errors the rest of the network forgets, others it multiplies. So each part is
quantized with exactly the parameters of the integer model, and the rest of the network is run on it: sensitivity
analysis, one factor at a time.

Biases are corrected for that one error, as calibration does it for all of them (``bias_correction``): every layer's
channels keep the means that they have in float. The corrections of the integer model itself would not do: they also
take back what all layers before have shifted, and where nothing is shifted they are errors of their own. With them, the
weights of MobileNetV3-Small's classifier.0 seem to be the worst of all, at 16 dB; without them they are at 57 dB.

The float network has the form that was quantized: channels equalized, and the normalization folded into the first
convolution where the integer model has it there. What that fold changes at the border of the picture
(``pixel_input.fold_normalization``) is the harm that the input does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.calibration.bias_correction import channel_means
from edgekit.calibration.equalization import equalize
from edgekit.calibration.output_error import OutputError, fake_quantized
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.steps.equalize import Equalize
from edgekit.executor.batches import joined
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.calibration.found import Ranges
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node
    from edgekit.quantization import QuantParams

    Outputs = Mapping[str, NDArray[np.float32]]

# Images whose tensors are held at once, 27 MB each of MobileNetV2 at 224. Means are kept over a batch: of n images,
# that takes away 1 / n of the error's power even where it has no mean, 0.3 dB of 16.
BATCH_SIZE = 16
LEAST_IMAGES = 8


class Part(StrEnum):
    """What of a layer is quantized."""

    ACTIVATION = "activation"  # the tensor that it makes
    WEIGHTS = "weights"  # its weights and other constants, without the bias, whose 32 bits lose nothing


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Alone:
    """Outputs with one part of the network quantized.

    Attributes:
        layer: its name in the checkpoint; of the input, the name of its tensor.
        part: what is quantized.
        outputs: with that part quantized, [N, ...], by name.
        reference: with nothing quantized, likewise.
    """

    layer: str
    part: Part
    outputs: Outputs
    reference: Outputs


@dataclass(frozen=True, slots=True, eq=False)  # likewise
class OneAtATime:
    """Outputs, [N, ...] by name, with some of the network quantized.

    Attributes:
        alone: single parts, in the order of the network. What stays in float, and the borders around it, are left out.
        activations: with all activations quantized, and no weights.
        weights: with all weights quantized, and no activations.
        floats: with nothing quantized.
    """

    alone: tuple[Alone, ...]
    activations: Outputs
    weights: Outputs
    floats: Outputs


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
        pixels: the images, [N, H, W, C], ``LEAST_IMAGES`` or more.
        progress: told after every batch.
    """
    graph = equalize(model, ranges.found[Equalize.name]).graph
    if integers.pixel_input:
        graph, _ = fold_normalization(graph, model.preprocessing.normalization)
    given, rounded_graph = FloatExecutor(model.graph), _with_integer_weights(graph, integers)
    parts = [(node, part) for node in graph for part in Part if _is_quantized(node, part, integers)]

    def run(batch: NDArray[np.uint8]) -> list[dict[str, torch.Tensor]]:
        means: dict[str, torch.Tensor] = {}
        images = torch.from_numpy(integers.normalization(batch))
        errors = OutputError(graph, images.numpy(), _Correcting(graph, means))
        quantizing, rounded = _Quantizing(graph, means, integers.params), _Correcting(rounded_graph, means)

        def alone(tensor: str) -> dict[str, torch.Tensor]:
            return errors.outputs(tensor, fake_quantized(errors.values[tensor], integers.params[tensor]))

        def with_integers(node: Node) -> dict[str, torch.Tensor]:
            known = [errors.values[name] if name in errors.values else rounded.constant(name) for name in node.inputs]
            return errors.outputs(node.output, rounded.compute(node, known))

        normalized = torch.from_numpy(model.preprocessing.normalization(batch))
        found = [given(normalized), graph.named(errors.values)]
        found += [quantizing(images), rounded(images), alone(graph.input)]
        found += [alone(node.output) if part is Part.ACTIVATION else with_integers(node) for node, part in parts]
        return found

    batches, done = [], 0
    with torch.inference_mode():
        for batch in np.array_split(pixels, math.ceil(len(pixels) / BATCH_SIZE)):
            progress("quantizing one at a time", done, len(pixels))
            batches.append(run(batch))
            done += len(batch)
    progress("quantizing one at a time", done, len(pixels))
    floats, folded, activations, weights, of_input, *others = map(joined, zip(*batches, strict=True))
    alone = [Alone(graph.input, Part.ACTIVATION, of_input, reference=floats)]
    alone += [Alone(node.name, part, outputs, folded) for (node, part), outputs in zip(parts, others, strict=True)]
    return OneAtATime(tuple(alone), activations, weights, floats)


def _is_quantized(node: Node, part: Part, integers: IntegerModel) -> bool:
    if part is Part.ACTIVATION:
        return node.output in integers.params
    return any(name in integers.params and name in integers.graph.constants for name in node.inputs)


def _with_integer_weights(graph: Graph, integers: IntegerModel) -> Graph:
    """``graph`` with what the stored weights and other int8 constants stand for."""
    constants, params = integers.graph.constants, integers.params
    return graph.with_nodes(
        graph.nodes, constants={name: params[name].dequantize(constants[name]) for name in constants if name in params}
    )


class _Correcting(FloatExecutor):
    """Keeps the mean of each channel of a layer, before the clamp, as it was when the layer was first run."""

    def __init__(self, graph: Graph, means: dict[str, torch.Tensor]) -> None:
        super().__init__(graph)
        self.means = means  # shared, by node name, [C], float64

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().accumulate(node, inputs)
        if not node.op.has_weights:
            return y
        mean = channel_means(y)
        shift = self.means.setdefault(node.name, mean) - mean
        return y + shift.to(y.dtype).reshape(-1, *[1] * (y.ndim - 2))


class _Quantizing(_Correcting):
    """Quantizes every activation as it is made, and no weights."""

    def __init__(self, graph: Graph, means: dict[str, torch.Tensor], params: Mapping[str, QuantParams]) -> None:
        super().__init__(graph, means)
        self.params = params

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        return fake_quantized(x, self.params[self.graph.input])

    def compute(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().compute(node, inputs)
        return fake_quantized(y, self.params[node.output]) if node.output in self.params else y
