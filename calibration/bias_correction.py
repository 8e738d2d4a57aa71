"""Empirical bias correction: what quantization shifts on average, the biases take back.

Rounding weights and clipping activations shifts the mean of a layer's output, channel by channel, and in depthwise
layers of few weights the shift is large. It is a constant, so the bias can absorb it: Nagel et al., Data-Free
Quantization Through Weight Equalization and Bias Correction, arXiv:1906.04721, section 4.2 and appendix D.

Layers are corrected from the first to the last in one pass over the same images in float and in integers: each layer
sees what the corrected layers before it make, so it also takes back what additions, products and means have shifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.executor.float import FloatExecutor
from edgekit.executor.integer import IntegerExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node


def bias_corrections(
    model: FloatModel, quantized: IntegerModel, images: NDArray[np.float32], stored: NDArray[np.int8]
) -> dict[str, NDArray[np.float64]]:
    """What to add to each bias, by its name, [O], in real units.

    Args:
        model: the float network in ``passes.integer_form``.
        quantized: its integer model.
        images: normalized, [N, C, H, W].
        stored: the same images as int8 inputs of ``quantized``.
    """
    with torch.inference_mode():
        means = _Means(model.graph)
        means(torch.from_numpy(images))
        correcting = _Correcting(quantized, means.found)
        correcting(torch.from_numpy(stored))
    return correcting.corrections


def channel_means(values: torch.Tensor) -> torch.Tensor:
    """Over images and places: [N, C, H, W] or [N, C] to [C], float64."""
    return values.double().mean([axis for axis in range(values.ndim) if axis != 1])


class _Means(FloatExecutor):
    """Remembers the mean of each layer's output, before the clamp, by node name."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.found: dict[str, torch.Tensor] = {}

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().accumulate(node, inputs)
        if node.op.has_weights:
            self.found[node.name] = channel_means(y)
        return y


class _Correcting(IntegerExecutor):
    """Moves each layer's mean to the wanted one before it computes the next layer."""

    def __init__(self, model: IntegerModel, wanted: Mapping[str, torch.Tensor]) -> None:
        super().__init__(model)
        self.wanted = wanted
        self.corrections: dict[str, NDArray[np.float64]] = {}

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        total = super().accumulate(node, inputs)
        width = self.model.width(node.output)
        if not node.op.has_weights or width is None:
            return total  # a layer that is kept in float needs no correction
        x, weight, bias = node.read("x", "weight", "bias")
        params = self.model.params
        step = float(params[x].scale[0]) * torch.from_numpy(params[weight].scale).double()  # [O], of the accumulator
        if width == 16:  # whose accumulator is real
            step = torch.ones_like(step)
        shift = self.wanted[node.name] / step - channel_means(total)
        shift = shift.round() if width == 8 else shift
        self.corrections[bias] = (shift * step).numpy()
        return total + shift.to(total.dtype).reshape(-1, *[1] * (total.ndim - 2))
