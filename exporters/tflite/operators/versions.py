"""The versions of TFLite's operators that edgekit writes, and what XNNPACK calls their kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.exporters.tflite.versions import Release

# Operators and versions that edgekit writes, and the TensorFlow release whose runtime was the first to have them:
# tflite/tools/versioning/runtime_version.cc, FindMinimumRuntimeVersionForOp.
RELEASES = {
    ("ADD", 1): (1, 5, 0),
    ("ADD", 2): (1, 14, 0),
    ("ADD", 3): (2, 4, 0),
    ("ARG_MAX", 1): (1, 9, 0),
    ("ARG_MAX", 2): (1, 14, 0),
    ("AVERAGE_POOL_2D", 1): (1, 5, 0),
    ("AVERAGE_POOL_2D", 2): (1, 14, 0),
    ("AVERAGE_POOL_2D", 3): (2, 3, 0),
    ("CAST", 3): (2, 8, 0),
    ("CONCATENATION", 1): (1, 5, 0),
    ("CONCATENATION", 2): (1, 14, 0),
    ("CONCATENATION", 3): (2, 3, 0),
    ("CONV_2D", 1): (1, 5, 0),
    ("CONV_2D", 3): (1, 14, 0),
    ("CONV_2D", 4): (2, 3, 0),
    ("CONV_2D", 5): (2, 4, 0),
    ("DEPTH_TO_SPACE", 1): (2, 1, 0),
    ("DEPTH_TO_SPACE", 2): (2, 5, 0),
    ("DEPTHWISE_CONV_2D", 1): (1, 5, 0),
    ("DEPTHWISE_CONV_2D", 2): (1, 12, 0),
    ("DEPTHWISE_CONV_2D", 3): (1, 14, 0),
    ("DEPTHWISE_CONV_2D", 5): (2, 3, 0),
    ("DEQUANTIZE", 2): (1, 14, 0),
    ("DEQUANTIZE", 3): (1, 15, 0),
    ("DEQUANTIZE", 5): (2, 7, 0),
    ("GATHER", 1): (1, 6, 0),
    ("FULLY_CONNECTED", 1): (1, 5, 0),
    ("FULLY_CONNECTED", 4): (1, 14, 0),
    ("FULLY_CONNECTED", 7): (2, 3, 0),
    ("FULLY_CONNECTED", 12): (2, 17, 0),
    ("HARD_SWISH", 1): (1, 15, 0),
    ("LOG", 1): (1, 14, 0),
    ("LEAKY_RELU", 1): (1, 13, 1),
    ("LOGISTIC", 1): (1, 14, 0),
    ("LOGISTIC", 2): (1, 14, 0),
    ("LOGISTIC", 3): (2, 3, 0),
    ("MAXIMUM", 1): (1, 14, 0),
    ("MAXIMUM", 4): (2, 3, 0),
    ("MAX_POOL_2D", 1): (1, 5, 0),
    ("MAX_POOL_2D", 2): (1, 14, 0),
    ("MAX_POOL_2D", 3): (2, 3, 0),
    ("MEAN", 1): (1, 6, 0),
    ("MEAN", 2): (1, 14, 0),
    ("MEAN", 3): (2, 4, 0),
    ("MINIMUM", 1): (1, 14, 0),
    ("MINIMUM", 4): (2, 3, 0),
    ("MUL", 1): (1, 5, 0),
    ("MUL", 2): (1, 14, 0),
    ("MUL", 3): (1, 15, 0),
    ("MUL", 4): (2, 3, 0),
    ("PAD", 1): (1, 5, 0),
    ("PAD", 2): (1, 14, 0),
    ("PAD", 3): (2, 4, 0),
    ("PRELU", 1): (1, 8, 0),
    ("PADV2", 1): (1, 9, 0),
    ("PADV2", 2): (1, 14, 0),
    ("PADV2", 3): (2, 4, 0),
    ("QUANTIZE", 1): (1, 14, 0),
    ("QUANTIZE", 2): (1, 15, 0),
    ("RESHAPE", 1): (1, 5, 0),
    ("RESIZE_BILINEAR", 1): (1, 7, 0),
    ("RESIZE_BILINEAR", 2): (1, 14, 0),
    ("RESIZE_BILINEAR", 3): (2, 2, 0),
    ("RESIZE_BILINEAR", 4): (2, 5, 0),
    ("SOFTMAX", 1): (1, 5, 0),
    ("STRIDED_SLICE", 1): (1, 6, 0),
    ("STRIDED_SLICE", 2): (1, 14, 0),
    ("STRIDED_SLICE", 4): (2, 2, 0),
    ("SUB", 1): (1, 6, 0),
    # It is older, but kernels of 2.4 refuse all boxes where one has no area, and take any of equal scores. This is
    # the oldest that was run, on an emulated Cortex-A76 (tflite-runtime 2.14.0).
    ("TFLite_Detection_PostProcess", 1): (2, 14, 0),
    ("TOPK_V2", 1): (1, 7, 0),
    ("TRANSPOSE", 1): (1, 6, 0),
    ("TRANSPOSE", 2): (1, 14, 0),
    ("TRANSPOSE", 4): (2, 3, 0),
    ("TRANSPOSE", 5): (2, 4, 0),
}
# How kernels of XNNPACK are called (src/operator-utils.c, xnn_operator_type_to_string_v2) that compute an operator of
# TFLite; whoever is left to TFLite itself is called by its own name.
KERNELS = {
    "ADD": ("Add",),
    "AVERAGE_POOL_2D": ("Average Pooling",),
    "CONCATENATION": ("Copy",),
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "DEPTH_TO_SPACE": ("Depth To Space",),
    "DEQUANTIZE": ("Convert",),
    "FULLY_CONNECTED": ("Fully Connected", "Convolution"),
    "HARD_SWISH": ("HardSwish",),
    "LOGISTIC": ("Sigmoid", "Invalid Unary Op"),
    "LEAKY_RELU": ("Leaky ReLU",),
    "MAXIMUM": ("Maximum",),
    "MAX_POOL_2D": ("Max Pooling",),
    "MEAN": ("Mean", "Global Average Pooling"),
    "MINIMUM": ("Minimum",),
    # x (x + 3) with both clamps is one table of 256 entries, which is called a unary operator without a name.
    "MUL": ("Multiply", "Invalid Unary Op"),
    "PAD": ("Constant Pad",),
    "PRELU": ("PReLU", "Prelu"),
    "QUANTIZE": ("Convert",),
    "RESHAPE": ("Static Reshape", "Copy"),
    "RESIZE_BILINEAR": ("Resize Bilinear",),
    "SOFTMAX": ("Softmax",),
    "SPACE_TO_DEPTH": ("Space To Depth",),
    "STRIDED_SLICE": ("Slice",),
    "TRANSPOSE": ("Transpose",),
}


def oldest_runtime(codes: Collection[tuple[str, int]]) -> Release:
    """The release of the oldest runtime that has all of these operators, each in its version."""
    unknown = [code for code in codes if code not in RELEASES]
    assert not unknown, f"nobody looked up which runtimes have {unknown}"
    return max(RELEASES[code] for code in codes)
