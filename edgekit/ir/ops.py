"""The operator vocabulary: one frozen dataclass an operator, named as the field names it.

Tensors are laid out as in PyTorch, [N, C, H, W] and [N, C]; exporters to NHWC formats write the same axes in their own
order. What an operator reads is said in its docstring, in the order of ``Node.inputs``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Op:
    """Base of all operators."""


@dataclass(frozen=True, slots=True)
class Padding:
    """Rows and columns of zeros around the two spatial axes."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))

    def __add__(self, other: Padding) -> Padding:
        return Padding(
            self.top + other.top, self.bottom + other.bottom, self.left + other.left, self.right + other.right
        )

    @staticmethod
    def same(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Padding:
        """TensorFlow's SAME padding for an input of ``size`` (height, width), dilation 1.

        Source: tensorflow/core/framework/kernel_shape_util.cc, GetWindowedOutputSizeVerbose: the odd row or column goes
        to the bottom or right.
        """
        totals = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
        (top, left), (bottom, right) = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return Padding(top, bottom, left, right)


@dataclass(frozen=True, slots=True)
class Conv2d(Op):
    """x [N, I, H, W], weight [O, I / groups, kH, kW], bias [O] -> [N, O, H', W']. Dilation 1."""

    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """x [N, I], weight [O, I], bias [O] -> [N, O]."""


@dataclass(frozen=True, slots=True)
class BatchNorm(Op):
    """x [N, C, H, W], gamma [C], beta [C], mean [C], variance [C] -> gamma (x - mean) / sqrt(variance + eps) + beta."""

    eps: float


@dataclass(frozen=True, slots=True)
class Clamp(Op):
    """x -> min(max(x, low), high). ReLU is Clamp(0, inf), ReLU6 is Clamp(0, 6)."""

    low: float
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class HardSwish(Op):
    """x -> x relu6(x + 3) / 6 (MobileNetV3, arXiv:1905.02244, section 5.2)."""


@dataclass(frozen=True, slots=True)
class HardSigmoid(Op):
    """x -> relu6(x + 3) / 6 (MobileNetV3, arXiv:1905.02244, section 5.2)."""


@dataclass(frozen=True, slots=True)
class Add(Op):
    """a, b -> a + b. b may be a constant of one element."""


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """a [N, C, H, W], b of the same shape or [N, C, 1, 1] -> a b."""


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """x [N, C, H, W] -> its mean over H and W, [N, C, 1, 1], or [N, C] without ``keep_dims``."""

    keep_dims: bool = True


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """x [N, C, H, W] -> x with zeros around it."""

    padding: Padding


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """x [N, C, 1, 1] -> [N, C]."""


@dataclass(frozen=True, slots=True)
class Quantize(Op):
    """x [...], real -> the nearest stored integers, with the parameters of the output. Of an integer model."""


@dataclass(frozen=True, slots=True)
class Requantize(Op):
    """x [...], stored -> the nearest integers of another width, with the parameters of the output. Likewise."""


@dataclass(frozen=True, slots=True)
class Dequantize(Op):
    """x [...], stored -> the reals that it stands for, float32. Likewise."""
