"""Feature maps of another size.

**Where integers are the same everywhere.** Nearest neighbours are moved. Bilinear weights along an axis are 1 - f and
f, f being the fraction of a position. If every f is k / 2**b with b <= 8, every sum of four weighted bytes is a
multiple of 2**-16 below 2**8, which 24 bits hold: float32 kernels are exact, in whatever order they add, and so is
XNNPACK's fixed point of 11 bits a direction (src/s8-ibilinear/scalar.c.in). What remains is how a tie is broken:
XNNPACK adds half a step and shifts, which rounds upwards; the other formats are written so that they do, too: 1/2 is
added to the integers as they are stored, and the sum is rounded down.

Positions follow from a quotient of sizes that kernels hold in float32, some upside down: both ways are exact where it
is a power of two. Where all f are 0, an error of the last bits changes nothing that is not rounded away. Otherwise
weights differ in the last bits, or in XNNPACK's eleventh, and a result can be a step off (``Resize.unproven``).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAREST: Final = "nearest"
# Bilinear, by what the corners of both maps have in common: the corners of their corner pixels (torch's
# align_corners=False), the centres of these (align_corners=True), or the centre of the first (TensorFlow's first).
HALF_PIXEL: Final = "half-pixel"
ALIGNED: Final = "align-corners"
ASYMMETRIC: Final = "asymmetric"
BILINEAR: Final = (HALF_PIXEL, ALIGNED, ASYMMETRIC)

_MOST_BITS: Final = 8  # of a weight: see the module's docstring


@dataclass(frozen=True, slots=True)
class Resize(Op):
    """x [N, C, H, W] -> [N, C, H', W'], by nearest neighbours (sizes by whole factors) or bilinear interpolation.

    Attributes:
        size: (H', W').
        mode: ``NEAREST``, or one of ``BILINEAR``.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    size: tuple[int, int]
    mode: str

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, H', W']."""
        ((channels, *old),) = operands
        if self.mode not in {NEAREST, *BILINEAR}:
            raise ValueError(f"resizes in the mode {self.mode!r}, and edgekit knows {', '.join((NEAREST, *BILINEAR))}")
        if len(old) != len(self.size):
            raise ValueError(f"resizes a tensor of the shape {operands[0]}, and edgekit resizes images")
        if self.mode == NEAREST and any(new % size for new, size in zip(self.size, old, strict=True)):
            raise ValueError(
                f"resizes {tuple(old)} to {self.size} by nearest neighbours, and edgekit enlarges by whole factors only"
            )
        return (channels, *self.size)

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL

    @property
    def rounds_up(self) -> bool:
        """Whether it interpolates."""
        return self.mode != NEAREST

    def factors_of(self, x: Shape) -> tuple[int, int]:
        """By how much nearest neighbours enlarge rows and columns."""
        height, width = (new // old for new, old in zip(self.size, x[1:], strict=True))
        return height, width

    def weights(self, x: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each row, and each column, is made of: [H', H] and [W', W], each row of which sums up to 1."""
        rows, columns = (
            _weights(positions(old, new, self.mode), old) for old, new in zip(x[1:], self.size, strict=True)
        )
        return rows, columns

    def unproven(self, *operands: Shape) -> str:
        """Where positions are no whole numbers and sizes in no ratio of a power of two, kernels round otherwise."""
        if self.mode == NEAREST:
            return ""
        for old, new in zip(operands[0][1:], self.size, strict=True):
            if not _is_exact(old, new, self.mode):
                return (
                    f"kernels interpolate from {old} to {new} places ({self.mode}) with other weights in the last bits"
                )
        return ""


def positions(old: int, new: int, mode: str) -> list[Fraction]:
    """Where each of ``new`` places lies among ``old`` ones, from 0 to old - 1."""
    if mode == ALIGNED:
        places = [Fraction(i * (old - 1), max(new - 1, 1)) for i in range(new)]
    else:
        shift = Fraction(1, 2) if mode == HALF_PIXEL else Fraction(0)
        places = [(i + shift) * Fraction(old, new) - shift for i in range(new)]
    return [min(max(place, Fraction(0)), Fraction(old - 1)) for place in places]


def _weights(places: list[Fraction], old: int) -> NDArray[np.float64]:
    weights = np.zeros((len(places), old))
    for row, place in zip(weights, places, strict=True):
        low = int(place)
        row[low] += float(1 - (place - low))
        row[min(low + 1, old - 1)] += float(place - low)
    return weights


def _is_exact(old: int, new: int, mode: str) -> bool:
    """Whether kernels agree on every weight, as far as it matters."""
    fractions = {place % 1 for place in positions(old, new, mode)}
    if fractions == {0}:
        return True
    ratio = Fraction(old - 1, max(new - 1, 1)) if mode == ALIGNED else Fraction(old, new)
    powers = all(_is_power_of_two(part) for part in (ratio.numerator, ratio.denominator))
    return powers and all(fraction.denominator <= 2**_MOST_BITS for fraction in fractions)


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
