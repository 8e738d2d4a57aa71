"""The typed graph that everything else reads: tensors, nodes and the operator vocabulary."""

from edgekit.ir.graph import Graph, Node, Tensor
from edgekit.ir.ops import (
    Add,
    BatchNorm,
    Clamp,
    Conv2d,
    Flatten,
    HardSigmoid,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Padding,
)

__all__ = [
    "Add",
    "BatchNorm",
    "Clamp",
    "Conv2d",
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
    "Tensor",
]
