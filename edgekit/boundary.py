"""Float arithmetic in front of the integers: how a float32 boundary takes what the float network takes.

The integers are pixel - 128. What a caller gives is x = (pixel - mean) / std, with the mean and standard deviation that
the network was trained with, and QUANTIZE makes round(x / S) + z of it. With a mean of 127.5 every pixel would lie on a
tie there, and standard deviations that differ from channel to channel fit no single S. So x becomes

    x' = gain x + offset,    gain = S std,    offset = S (mean - 128 - z)

first, one gain and offset a channel, and x' / S + z is pixel - 128 in real arithmetic: the nearest tie is half a level
away. Not all of it has to be written. QUANTIZE forgives whatever is off by less than half a level, and ``REACH`` of it
may be used up by leaving out gains, or everything. The rest is for float32. Of x, however it is computed, x' and x' / S
each step errs by 2**-24 of its result, and no result on the way is larger than |mean| + 255 levels: with a dozen
roundings and means up to 1000, a thousandth of a level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.quantization import INT8_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.preprocessing import Normalization
    from edgekit.quantization import QuantParams

REACH: Final = 0.25  # levels; half of the way to a tie


@dataclass(frozen=True, slots=True)
class Alignment:
    """``x' = gain x + offset``, as little of it as serves.

    Attributes:
        gains: one a channel; none where all are 1.
        offsets: one a channel, or one for all; none where all are 0.
    """

    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gains or self.offsets)


def alignment(given: Normalization, params: QuantParams) -> Alignment:
    """What takes a float input to the grid of an int8 input that is pixel - 128.

    Args:
        given: what the input is: (pixel - mean) / std.
        params: of the int8 input.
    """
    scale = float(params.scale[0])
    mean, std = np.array(given.mean, np.float64), np.array(given.std, np.float64)
    gains, offsets = scale * std, scale * (mean + INT8_MIN - params.zero_point)
    middle = float(offsets.min() + offsets.max()) / 2
    candidates = (Alignment(), Alignment(offsets=(middle,)), Alignment(tuple(gains.tolist()), tuple(offsets.tolist())))
    return next((found for found in candidates if levels_off(found, given, params) < REACH), candidates[-1])


def levels_off(found: Alignment, given: Normalization, params: QuantParams) -> float:
    """How far from an integer, and from the right one, the worst of all pixels comes to QUANTIZE: levels, 0 at best."""
    mean, std = np.array(given.mean, np.float64), np.array(given.std, np.float64)
    pixels: NDArray[np.float64] = np.array([[0.0], [255.0]])  # what lies between is nearer: all of this is linear
    aligned = (pixels - mean) / std * (found.gains or 1.0) + (found.offsets or 0.0)
    stored = aligned / float(params.scale[0]) + params.zero_point
    return float(np.abs(stored - (pixels + INT8_MIN)).max())
