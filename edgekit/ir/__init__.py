"""The typed graph that everything else reads: tensors, nodes and the operator vocabulary."""

from edgekit.ir.graph import (
    IMAGE,
    LOGITS,
    MASK,
    VALUES,
    VECTOR,
    Axis,
    ChannelStatistics,
    Graph,
    Lowered,
    Node,
    Output,
    Tensor,
)
from edgekit.ir.operators.add import Add
from edgekit.ir.operators.arg_max import ArgMax
from edgekit.ir.operators.average_pool2d import AveragePool2d
from edgekit.ir.operators.batch_norm import BatchNorm
from edgekit.ir.operators.clamp import Clamp
from edgekit.ir.operators.concat import Concat
from edgekit.ir.operators.conv2d import Conv2d
from edgekit.ir.operators.dequantize import Dequantize
from edgekit.ir.operators.hard_sigmoid import HardSigmoid
from edgekit.ir.operators.hard_swish import HardSwish
from edgekit.ir.operators.leaky_relu import LeakyReLU
from edgekit.ir.operators.linear import Linear
from edgekit.ir.operators.max_pool2d import MaxPool2d
from edgekit.ir.operators.mean import Mean
from edgekit.ir.operators.mul import Mul
from edgekit.ir.operators.operator import Op, operators
from edgekit.ir.operators.pad import Pad
from edgekit.ir.operators.padding import Padding
from edgekit.ir.operators.prelu import PReLU
from edgekit.ir.operators.quantize import Quantize
from edgekit.ir.operators.rearrange import Rearrange
from edgekit.ir.operators.requantize import Requantize
from edgekit.ir.operators.resize import Resize
from edgekit.ir.operators.sigmoid import Sigmoid
from edgekit.ir.operators.slice import Part, Slice
from edgekit.ir.operators.softmax import Softmax
from edgekit.ir.operators.transposed_conv2d import TransposedConv2d

__all__ = [
    "IMAGE",
    "LOGITS",
    "MASK",
    "VALUES",
    "VECTOR",
    "Add",
    "ArgMax",
    "AveragePool2d",
    "Axis",
    "BatchNorm",
    "ChannelStatistics",
    "Clamp",
    "Concat",
    "Conv2d",
    "Dequantize",
    "Graph",
    "HardSigmoid",
    "HardSwish",
    "LeakyReLU",
    "Linear",
    "Lowered",
    "MaxPool2d",
    "Mean",
    "Mul",
    "Node",
    "Op",
    "Output",
    "PReLU",
    "Pad",
    "Padding",
    "Part",
    "Quantize",
    "Rearrange",
    "Requantize",
    "Resize",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Tensor",
    "TransposedConv2d",
    "operators",
]
