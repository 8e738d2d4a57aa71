"""What a user chooses of a calibration, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.calibration.ranges import DEFAULT_PERCENTILE, RangeMethod
from edgekit.quantization import WEIGHT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Options:
    """How a network becomes integers.

    Attributes:
        method: how the range of a tensor follows from what was seen of it.
        percentile: of what was seen, that a range holds; for the method of this name.
        keep_float: layers that stay in float, named as in ``mixed_precision.select_layers``.
        int16: layers with 16-bit activations, likewise: they read and make tensors of 16 bits.
        per_tensor_weights: one scale for all output channels of a layer, as some targets want it.
        weight_bits: 8, or 7 for weights in [-64, 64]; those of layers with 16-bit activations have 8 in any case.
        pixel_input: fold the normalization into the first convolution, so that the int8 input is pixel - 128.
        synthetic: images are made from batch normalization (``data_free``), so that less is concluded from them.
    """

    method: RangeMethod = RangeMethod.PERCENTILE
    percentile: float = DEFAULT_PERCENTILE
    keep_float: Collection[str] = ()
    int16: Collection[str] = ()
    per_tensor_weights: bool = False
    weight_bits: int = 8
    pixel_input: bool = True
    synthetic: bool = False

    @property
    def weight_limit(self) -> int:
        """The largest weight; the smallest is its negative."""
        return WEIGHT_LIMITS[self.weight_bits]


DEFAULT: Final = Options()
