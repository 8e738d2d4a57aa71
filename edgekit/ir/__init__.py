"""The typed graph that everything else reads: tensors, nodes and the operator vocabulary."""

from edgekit.ir.graph import ChannelStatistics, Graph, Node, Tensor
from edgekit.ir.ops import (
    Add,
    BatchNorm,
    Clamp,
    Conv2d,
    Dequantize,
    Flatten,
    HardSigmoid,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Padding,
    Quantize,
    Requantize,
)

__all__ = [
    "Add",
    "BatchNorm",
    "ChannelStatistics",
    "Clamp",
    "Conv2d",
    "Dequantize",
    "Flatten",
    "Graph",
    "HardSigmoid",
    "HardSwish",
    "Linear",
    "Mean",
    "Mul",
    "Node",
    "Op",
    "Pad",
    "Padding",
    "Quantize",
    "Requantize",
    "Tensor",
]
