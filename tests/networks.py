"""Networks that several test folders quantize."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.calibration.ranges import Range
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.models.backbone import Backbone
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.convolution import ConvolutionHead
from edgekit.models.heads.linear import LinearHead
from edgekit.models.network import Network, build
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.models.architecture import Architecture


def with_ranges(
    architecture: Architecture, pixels: NDArray[np.uint8], clipped: float
) -> tuple[FloatModel, dict[str, Range]]:
    """A network with random weights that has seen ``pixels``, and ranges that clip that share at either end."""
    torch.manual_seed(0)
    shape = pixels.shape[1:3]
    preprocessing = Preprocessing((shape[0], shape[1]), None)
    module = build(architecture).train()
    with torch.no_grad():
        module(torch.from_numpy(preprocessing.normalization(pixels)))  # statistics for batch normalization
    model = FloatModel(integer_form(capture(module.eval(), architecture.name, (3, *shape))), preprocessing)
    ranges: dict[str, Range] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        low, high = torch.quantile(value.flatten(), torch.tensor([clipped, 1 - clipped])).tolist()
        ranges[name] = Range(min(low, 0.0), max(high, 2.0**-8))

    with torch.inference_mode():
        FloatExecutor(model.graph)(torch.from_numpy(preprocessing.normalization(pixels)), observe)
    return model, ranges


def three_heads(architecture: Architecture | None = None) -> Network:
    """Logits of 10 classes, a vector of 4 numbers, and 3 numbers for every place of a feature map.

    Random weights, in evaluation mode, with statistics of random images. Without an architecture a V2 of width 0.25 for
    images of 64 x 64: the outputs are [N, 10], [N, 4] and [N, 3, 8, 8].
    """
    architecture = architecture or mobilenet_v2(0.25, resolution=64)
    torch.manual_seed(0)
    backbone = Backbone(architecture)
    heads = {
        "classes": LinearHead(backbone.pooled, 10),
        "pose": LinearHead(backbone.pooled, 4, hidden=[(16, "relu")]),
        "mask": ConvolutionHead(backbone.at(8), 3),
    }
    network = Network(backbone, heads).train()
    with torch.no_grad():
        network(torch.randn(8, architecture.in_channels, *architecture.size))  # statistics for batch normalization
    return network.eval()
