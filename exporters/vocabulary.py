"""What operators of files do, in words that all formats share.

Each format says of its own operators which of these they are (``exporters/*/contents.py``); what is not said is OTHER.
Nothing outside of a format's folder knows the names of its operators.
"""

from __future__ import annotations

from enum import Enum, auto


class Does(Enum):
    """What one operator does to the values that it reads."""

    ADD = auto()
    MULTIPLY = auto()
    MULTIPLY_AND_ADD = auto()  # first + value * second * third, as torch's addcmul
    NORMALIZE = auto()  # batch normalization
    HARD_SWISH = auto()
    HARD_SIGMOID = auto()
    SIGMOID = auto()
    SOFTMAX = auto()
    CLAMP = auto()
    DEPTHWISE = auto()  # a convolution of each channel by itself, where that is an operator of its own
    POOL = auto()  # the mean or the largest number of areas
    PAD = auto()  # values are put around, or channels behind
    CROP = auto()
    JOIN = auto()  # several one behind the other
    RESHAPE = auto()
    RESIZE = auto()
    TRANSPOSE = auto()
    CHOOSE = auto()  # the index of the largest
    QUANTIZE_AND_COMPUTE = auto()  # a layer's sums of integers, of reals that are quantized for it
    QUANTIZE = auto()  # reals to integers, or integers to others
    DEQUANTIZE = auto()
    CONVERT = auto()  # to another floating-point type, which may round
    KEEP = auto()  # to another type that holds the same values
    OTHER = auto()
