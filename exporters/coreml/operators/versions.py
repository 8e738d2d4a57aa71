"""The operators of Core ML that edgekit writes, and since when there are any."""

from __future__ import annotations

from typing import Final

# Operators that edgekit writes, and the first specification that has them. Source: coremltools/converters/mil/mil/ops/
# defs, a folder for each iOS.
SINCE: Final = {
    **dict.fromkeys(
        (
            "add", "avg_pool", "cast", "classify", "clip", "concat", "conv", "floor", "leaky_relu", "linear",
            "max_pool", "mul", "pad", "prelu", "reduce_argmax", "reduce_mean", "relu", "relu6", "reshape",
            "resize_bilinear", "sigmoid", "sigmoid_hard", "slice_by_index", "softmax", "squeeze", "sub", "transpose",
            "upsample_nearest_neighbor",
        ),
        6,
    ),
    "constexpr_affine_dequantize": 7,
    "dequantize": 8,
    "quantize": 8,
}  # fmt: skip

MOST_AXES: Final = 5  # of an array: _check_invalid_tensor_rank in coremltools/converters/mil/mil/program.py
