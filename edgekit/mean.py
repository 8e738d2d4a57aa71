"""Whether the kernels that compute a MEAN give one integer for every sum that can occur.

A kernel converts the sum to float32, multiplies it by a constant, adds another one, and rounds. Each of these steps
never decreases as the sum grows, and so doesn't the kernel. It is right for all sums if it is right for those two that
enclose each tie of the output: at most 2 x 255, which are computed here as each kernel does, with the very scales of
the model. No bound on errors is needed, so means of any number of values can be proven, as long as float32 holds the
sum. (ONNX Runtime without optimization adds up reals, and so is no such kernel: ``edgekit.float_sums``.)

Sources: ``docs/identity.md``, the table of MEAN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from numpy.typing import NDArray

    from edgekit.quantization import QuantParams

Integers: TypeAlias = "NDArray[np.int64]"
_UINT8_OFFSET: Final = 128  # torch and ONNX store activations as uint8


@dataclass(frozen=True, slots=True)
class _Mean:
    """One requantization of sums of ``count`` values, from the parameters ``x`` to ``y``."""

    count: int
    x: QuantParams
    y: QuantParams


def disagreement(ratio: Fraction, count: int, x: QuantParams, y: QuantParams) -> tuple[str, int] | None:
    """The first kernel that gives another integer than ``ratio`` times the sum, rounded.

    Args:
        ratio: S_x / (count S_y), whose denominator is odd, so that no sum is a tie.
        count: how many values are added up.
        x: parameters of what is averaged.
        y: of the mean.

    Returns:
        Its name, and the sum of centred values; None where all agree on all sums.
    """
    p, q = ratio.numerator, ratio.denominator
    # sum * p / q = k + 1/2 lies between two neighbouring sums; k from the lowest to the highest integer.
    ties = np.arange(INT8_MIN - y.zero_point, INT8_MAX - y.zero_point)
    below = (2 * ties + 1) * q // (2 * p)
    sums = np.concatenate([below, below + 1])
    sums = sums[(sums >= count * (INT8_MIN - x.zero_point)) & (sums <= count * (INT8_MAX - x.zero_point))]
    wanted = np.clip((2 * sums * p + q) // (2 * q) + y.zero_point, INT8_MIN, INT8_MAX)
    for name, kernel in _KERNELS.items():
        for found in kernel(_Mean(count, x, y), sums):
            if (wrong := np.clip(found, INT8_MIN, INT8_MAX) != wanted).any():
                return name, int(sums[wrong][0])
    return None


def _scales(mean: _Mean) -> tuple[np.float32, np.float32, np.float32]:
    return mean.x.scale[0], mean.y.scale[0], np.float32(mean.count)


def _xnnpack(mean: _Mean, sums: Integers) -> list[NDArray[np.float32]]:
    """reduce-nd.c and quantize of reference-utils.h; compilers may fuse a product and a sum, or not."""
    s_x, s_y, count = _scales(mean)
    scale = s_x / s_y * (np.float32(1) / count)
    moved = np.float32(mean.count * mean.x.zero_point)
    raw = (sums + mean.count * mean.x.zero_point).astype(np.float32)
    z_y = np.float32(mean.y.zero_point)
    found = []
    for shift in (z_y - moved * scale, _fused(-moved, scale, z_y)):
        found += [np.rint(raw * scale + shift), np.rint(_fused(raw, scale, shift))]
    return found


def _mlas(mean: _Mean, sums: Integers) -> list[NDArray[np.floating]]:
    """qlgavgpool.cpp: in float32 on x86; the float32 ratio times the sum as a fixed-point number on Arm."""
    s_x, s_y, count = _scales(mean)
    scale = s_x / (s_y * count)
    exact = sums * np.float64(scale)  # 24 bits times 31
    away = np.sign(exact) * np.floor(np.abs(exact) + 0.5)
    return [np.rint(sums.astype(np.float32) * scale) + mean.y.zero_point, away + mean.y.zero_point]


def _torch(mean: _Mean, sums: Integers) -> list[NDArray[np.float32]]:
    """exporters/torch/integer.py, MEAN; ATen's quantize_per_tensor adds the zero point before it rounds, or after."""
    s_x, s_y, _ = _scales(mean)
    step, inverse = np.float32(np.float64(s_x) / mean.count), np.float32(1) / s_y
    real = sums.astype(np.float32) * step * inverse
    z_y = np.float32(mean.y.zero_point + _UINT8_OFFSET)
    first = (real + z_y, _fused(sums.astype(np.float32) * step, inverse, z_y))
    return [np.rint(real) + mean.y.zero_point, *(np.rint(moved) - _UINT8_OFFSET for moved in first)]


def _fused(a: Any, b: np.float32, c: Any) -> Any:  # noqa: ANN401 - float32 numbers and arrays of them alike
    """A product and a sum of float32 numbers, rounded once."""
    return (np.multiply(a, b, dtype=np.float64) + np.float64(c)).astype(np.float32)


def step_ratio(x: QuantParams, y: QuantParams) -> NDArray[np.float32]:
    """How many steps of what is averaged are one of the mean, [1]: its scale, where reals are whole steps."""
    ratio: NDArray[np.float32] = (y.scale.astype(np.float64) / x.scale).astype(np.float32)
    return ratio


def _coreml(mean: _Mean, sums: Integers) -> list[NDArray[np.float32]]:
    """exporters/coreml/integer_writer.py: the mean of whole steps in float32, divided by ``step_ratio``.

    A sum is exact while it is below 2**24. It may be divided by the number of terms, or multiplied by its inverse.
    """
    total, step = sums.astype(np.float32), step_ratio(mean.x, mean.y)[0]
    means = total / np.float32(mean.count), total * (np.float32(1) / np.float32(mean.count))
    return [np.rint(one / step) + mean.y.zero_point for one in means]


_KERNELS: Final[dict[str, Callable[[_Mean, Integers], list[NDArray[np.floating]]]]] = {
    "LiteRT with XNNPACK": _xnnpack,
    "ONNX Runtime": _mlas,
    "torch": _torch,
    "Core ML": _coreml,
}
