"""The class of each place of a feature map: which of its channels holds the largest number.

**Where classes are the same everywhere.** Of integers, every kernel finds the same largest one, and what remains is
which of equal ones it names. That is the first: TFLite's kernel takes another only where it is larger
(tensorflow/lite/kernels/internal/reference/arg_min_max.h), ONNX's has ``select_last_index`` 0, torch's documentation
promises it. Core ML's promises nothing, so files for it leave no two channels equal (``least_difference``).

A map that is enlarged before is interpolated as it is stored, and nothing is rounded: sums of bytes with weights that
are multiples of a power of two are exact in float32, in whatever order kernels add (``resize``). So enlarging by 2, 4,
8, … is exact. By other factors weights differ in their last bits, and so can classes, where two channels are as good as
equal (``ArgMax.unproven``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm, prod
from typing import TYPE_CHECKING, ClassVar, Final

from edgekit.ir.operators.operator import Border, Factors, Gains, Op, Scales, Shape
from edgekit.ir.operators.resize import HALF_PIXEL, Resize, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_CHANNELS: Final = 254  # as many classes as masks of 8 bits have room for


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """x [N, C, H, W] -> of each place the channel that is largest there, [N, H', W']; of equal ones the first.

    Attributes:
        size: (H', W') to which x is interpolated before, bilinearly (``HALF_PIXEL``); None leaves it as it is.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.NONE
    border: ClassVar = Border.TO_INDICES

    size: tuple[int, int] | None = None

    def output_shape(self, *operands: Shape) -> Shape:
        """[H', W']."""
        (x,) = operands
        if len(x) != 3 or not 1 < x[0] <= MOST_CHANNELS:
            raise ValueError(
                f"names the largest channel of a tensor of the shape {x}: edgekit reads images of 2 to 254"
            )
        _, *size = x if self.resize is None else self.resize.output_shape(x)
        return tuple(size)

    def gains(self, *_: Shape) -> Gains:
        """None: they would make another channel the largest."""
        return Gains.NONE

    @property
    def resize(self) -> Resize | None:
        """What is done to x before."""
        return None if self.size is None else Resize(self.size, HALF_PIXEL)

    def unproven(self, *operands: Shape) -> str:
        """Where interpolation is not exact."""
        return "" if self.resize is None else self.resize.unproven(*operands)


def least_difference(old: Sequence[int], new: Sequence[int]) -> float:
    """By how much two channels of whole numbers differ at least, where they do, once they are interpolated.

    Args:
        old: (H, W) of the map.
        new: (H', W') that it gets.

    >>> least_difference((45, 60), (45, 60)), least_difference((45, 60), (360, 480)) == 2**-8
    (1.0, True)
    """
    axes = zip(old, new, strict=True)
    return 1 / prod(lcm(*(place.denominator for place in positions(*sizes, HALF_PIXEL))) for sizes in axes)
