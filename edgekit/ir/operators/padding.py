"""Zeros around feature maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Same(Enum):
    """As much padding as makes the result 1 / stride as large as what is read, rounded up."""

    UPPER = "an odd row or column goes to the bottom or right, as TensorFlow has it"
    LOWER = "an odd row or column goes to the top or left"

    def padding(self, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Padding:
        """Around an input of ``size``, for a kernel that reaches so far; all are (height, width)."""
        same = Padding.same(size, kernel, stride)
        return same if self is Same.UPPER else Padding(same.bottom, same.top, same.right, same.left)


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

    def ceiled(self, size: tuple[int, int], reach: tuple[int, int], stride: tuple[int, int]) -> Padding:
        """With as much more at the end as the windows of ``ceil_mode`` want, the last of which may be cut off.

        Source: pooling_output_shape_pad_lr in aten/src/ATen/native/Pool.h: a window that would begin behind the image
        and what is before it is left out.
        """
        more = []
        for n, before, after, k, s in zip(
            size, (self.top, self.left), (self.bottom, self.right), reach, stride, strict=True
        ):
            count = math.ceil((n + before + after - k) / s) + 1
            count -= (count - 1) * s >= n + before
            more.append(max((count - 1) * s + k - (n + before + after), 0))
        return self + Padding(bottom=more[0], right=more[1])

    @staticmethod
    def same(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Padding:
        """TensorFlow's SAME padding for an input of ``size`` (height, width).

        A dilated kernel is as large as it reaches.

        Source: tensorflow/core/framework/kernel_shape_util.cc, GetWindowedOutputSizeVerbose: the odd row or column goes
        to the bottom or right.
        """
        totals = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
        (top, left), (bottom, right) = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return Padding(top, bottom, left, right)


NO_PADDING = Padding()
