"""The classifier of PaddleOCR that says whether a line of text stands upside down, as paddle2onnx writes it.

A MobileNetV3-Small 0.35 for lines of 48 × 192: strides of (2, 1), hard-sigmoids of slope 0.2, a max pooling, and a
linear layer as MatMul and Add. Source: PaddleOCR 2.x, rec_mobilenet_v3.py and cls_head.py in ppocr/modeling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_OPSET = 11
# kernel, wide, out, squeeze-and-excite, activation, stride; widths before they are scaled
_BLOCKS = (
    (3, 16, 16, True, "relu", (2, 1)),
    (3, 72, 24, False, "relu", (2, 1)),
    (3, 88, 24, False, "relu", (1, 1)),
    (5, 96, 40, True, "hardswish", (2, 1)),
    (5, 240, 40, True, "hardswish", (1, 1)),
    (5, 240, 40, True, "hardswish", (1, 1)),
    (5, 120, 48, True, "hardswish", (1, 1)),
    (5, 144, 48, True, "hardswish", (1, 1)),
    (5, 288, 96, True, "hardswish", (2, 1)),
    (5, 576, 96, True, "hardswish", (1, 1)),
    (5, 576, 96, True, "hardswish", (1, 1)),
)


@dataclass
class File:
    """An ONNX file in the making; every method appends a node and returns the name of what it makes."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's own
        """Any node of one output."""
        name = f"{kind.lower()}_{len(self.nodes)}.tmp_0"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, values: torch.Tensor | Sequence[float], dtype: type = np.float32) -> str:
        """An initializer."""
        name = f"weight_{len(self.weights)}.w_0"
        array: NDArray[Any] = np.asarray(values.detach() if isinstance(values, torch.Tensor) else values, dtype)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def save(self, path: Path, shape: Sequence[int], output: str, classes: int) -> None:
        """Write it; ``shape`` is [C, H, W]."""
        graph = helper.make_graph(
            self.nodes,
            "Model from PaddlePaddle.",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["DynamicDimension.0", *shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["DynamicDimension.0", classes])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


class ConvNorm(nn.Module):
    """A convolution, batch normalization, and an activation."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a convolution has, in torch's order
        self, into: int, out: int, kernel: int, stride: tuple[int, int] = (1, 1), groups: int = 1, activation: str = ""
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm, self.activation = nn.BatchNorm2d(out), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        x = self.norm(self.conv(x))
        return getattr(functional, self.activation)(x) if self.activation else x

    def write(self, file: File, x: str) -> str:
        """The same in ONNX."""
        x = _written(file, self.conv, x)
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        values = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        x = file.node("BatchNormalization", x, *map(file.weight, values), epsilon=norm.eps, momentum=0.9)
        if self.activation == "relu":
            return file.node("Relu", x)
        if self.activation == "hardswish":  # opset 11 has none
            return file.node("Mul", x, file.node("HardSigmoid", x, alpha=1 / 6, beta=0.5))
        return x


class Gate(nn.Module):
    """Squeeze-and-excite with a hard-sigmoid of slope 0.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        gate = self.widen(functional.relu(self.narrow(functional.adaptive_avg_pool2d(x, 1))))
        return x * torch.clamp(0.2 * gate + 0.5, 0.0, 1.0)

    def write(self, file: File, x: str) -> str:
        """The same in ONNX."""
        gate = file.node("Relu", _written(file, self.narrow, file.node("GlobalAveragePool", x)))
        return file.node("Mul", x, file.node("HardSigmoid", _written(file, self.widen, gate), alpha=0.2, beta=0.5))


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, into: int, kind: tuple[int, int, int, bool, str, tuple[int, int]], scale: float) -> None:
        super().__init__()
        kernel, wide, out, gated, activation, stride = kind
        wide, out = scaled(wide, scale), scaled(out, scale)
        self.layers = nn.ModuleList(
            [
                ConvNorm(into, wide, 1, activation=activation),
                ConvNorm(wide, wide, kernel, stride, wide, activation),
                *([Gate(wide)] if gated else []),
                ConvNorm(wide, out, 1),
            ]
        )
        self.adds = stride == (1, 1) and into == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + y if self.adds else y

    def write(self, file: File, x: str) -> str:
        """The same in ONNX."""
        y = x
        for layer in self.layers:
            y = layer.write(file, y)  # type: ignore[operator] # all of them have it
        return file.node("Add", x, y) if self.adds else y


class Recognizer(nn.Module):
    """The whole network; two classes, 0° and 180°."""

    CLASSES = 2

    def __init__(self, *, scale: float = 0.35) -> None:
        super().__init__()
        into = scaled(16, scale)
        self.stem = ConvNorm(3, into, 3, (2, 2), activation="hardswish")
        blocks = []
        for kind in _BLOCKS:
            blocks.append(Block(into, kind, scale))
            into = scaled(kind[2], scale)
        last = scaled(576, scale)
        self.blocks = nn.ModuleList([*blocks, ConvNorm(into, last, 1, activation="hardswish")])
        self.linear = nn.Linear(last, self.CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] -> [N, 2]."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = functional.adaptive_avg_pool2d(functional.max_pool2d(x, 2), 1)
        return self.linear(x.flatten(1))  # type: ignore[no-any-return] # a tensor

    def save(self, path: Path, shape: Sequence[int]) -> None:
        """The file that paddle2onnx would write; its soft-max is part of it."""
        file = File()
        x = self.stem.write(file, "x")
        for block in self.blocks:
            x = block.write(file, x)  # type: ignore[operator] # all of them have it
        x = file.node("GlobalAveragePool", file.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
        x = file.node("Reshape", x, file.weight([-1, self.linear.in_features], np.int64))
        x = file.node("MatMul", x, file.weight(self.linear.weight.T))
        x = file.node("Add", x, file.weight(self.linear.bias))
        file.save(path, shape, file.node("Softmax", x, axis=1), self.CLASSES)


def scaled(channels: int, scale: float) -> int:
    """Multiples of 8, as MobileNets have them."""
    wanted = channels * scale
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _written(file: File, conv: nn.Conv2d, x: str) -> str:
    assert isinstance(conv.padding, tuple)
    (vertical, horizontal), (height, width) = conv.padding, conv.kernel_size
    bias = [] if conv.bias is None else [file.weight(conv.bias)]
    return file.node(
        "Conv",
        x,
        file.weight(conv.weight),
        *bias,
        kernel_shape=[height, width],
        strides=list(conv.stride),
        pads=[vertical, horizontal, vertical, horizontal],
        dilations=[1, 1],
        group=conv.groups,
    )
