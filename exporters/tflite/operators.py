"""One function an operator: a Node of the canonical graph, written as TFLite operators.

The same functions serve float and integer models: a tensor is int8 where the builder has parameters for it. The fused
clamp of an int8 layer is nothing but the output's range, so its fused activation is always NONE.
Layers with 16-bit activations run in TFLite's own kernels, which XNNPACK leaves them to.
Versions are those of tflite/tools/versioning/op_version.cc.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir import (
    Add,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Padding,
    Quantize,
    Requantize,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.exporters.tflite.versions import Release
    from edgekit.ir import Node

# Operators and versions that edgekit writes, and the TensorFlow release whose runtime was the first to have them:
# tflite/tools/versioning/runtime_version.cc, FindMinimumRuntimeVersionForOp.
RELEASES = {
    ("ADD", 1): (1, 5, 0),
    ("ADD", 2): (1, 14, 0),
    ("ADD", 3): (2, 4, 0),
    ("CONCATENATION", 1): (1, 5, 0),
    ("CONCATENATION", 2): (1, 14, 0),
    ("CONCATENATION", 3): (2, 3, 0),
    ("CONV_2D", 1): (1, 5, 0),
    ("CONV_2D", 3): (1, 14, 0),
    ("CONV_2D", 4): (2, 3, 0),
    ("DEPTHWISE_CONV_2D", 1): (1, 5, 0),
    ("DEPTHWISE_CONV_2D", 2): (1, 12, 0),
    ("DEPTHWISE_CONV_2D", 3): (1, 14, 0),
    ("DEPTHWISE_CONV_2D", 5): (2, 3, 0),
    ("DEQUANTIZE", 2): (1, 14, 0),
    ("DEQUANTIZE", 3): (1, 15, 0),
    ("FULLY_CONNECTED", 1): (1, 5, 0),
    ("FULLY_CONNECTED", 4): (1, 14, 0),
    ("FULLY_CONNECTED", 7): (2, 3, 0),
    ("HARD_SWISH", 1): (1, 15, 0),
    ("LOGISTIC", 1): (1, 14, 0),
    ("MAXIMUM", 1): (1, 14, 0),
    ("MAXIMUM", 4): (2, 3, 0),
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
    ("QUANTIZE", 1): (1, 14, 0),
    ("QUANTIZE", 2): (1, 15, 0),
    ("RESHAPE", 1): (1, 5, 0),
    ("SOFTMAX", 1): (1, 5, 0),
}

# How kernels of XNNPACK are called (src/operator-utils.c, xnn_operator_type_to_string_v2) that compute an operator of
# TFLite; whoever is left to TFLite itself is called by its own name.
KERNELS = {
    "ADD": ("Add",),
    "AVERAGE_POOL_2D": ("Average Pooling",),
    "CONCATENATION": ("Copy",),
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "DEQUANTIZE": ("Convert",),
    "FULLY_CONNECTED": ("Fully Connected", "Convolution"),
    "HARD_SWISH": ("HardSwish",),
    "MAXIMUM": ("Maximum",),
    "MEAN": ("Mean", "Global Average Pooling"),
    "MINIMUM": ("Minimum",),
    # x (x + 3) with both clamps is one table of 256 entries, which is called a unary operator without a name.
    "MUL": ("Multiply", "Invalid Unary Op"),
    "PAD": ("Constant Pad",),
    "QUANTIZE": ("Convert",),
    "RESHAPE": ("Static Reshape", "Copy"),
    "SOFTMAX": ("Softmax",),
}

OPERATORS: OperatorTable[[Node, TfliteBuilder], None] = OperatorTable("TFLite", canonical)


@OPERATORS.implements(Conv2d)
def _conv2d(op: Conv2d, node: Node, model: TfliteBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    source, target = model.activation(x), model.activation(node.output)
    kernel = model.graph.constants[weight]  # [O, I / groups, kH, kW]
    channels, height, width = model.graph.tensors[x].shape
    stride_h, stride_w = op.stride
    options = {"padding": model.schema.Padding.VALID, "strideH": stride_h, "strideW": stride_w}
    options |= {"dilationHFactor": op.dilation[0], "dilationWFactor": op.dilation[1]}
    if op.padding == Padding.same((height, width), op.window.reach(kernel.shape[2:]), op.stride):
        options["padding"] = model.schema.Padding.SAME
    elif op.padding:  # TFLite's convolutions have no other
        source = _padded(node, source, op.padding, model)
    if op.groups == 1:
        _convolution(node, source, kernel.transpose(0, 2, 3, 1), target, options, model)
    elif op.groups == channels:
        inputs = [source, model.weight(weight, kernel.transpose(1, 2, 3, 0), 3), model.bias(bias, x, weight)]
        options["depthMultiplier"] = len(kernel) // channels
        code = _code("DEPTHWISE_CONV_2D", x, model, 1 if op.dilation == (1, 1) else 2, 3, 5)
        _emit(node, model, code, inputs, target, ("DepthwiseConv2DOptions", options))
    else:
        raise UnsupportedOperator(
            f"TFLite has no grouped convolution (layer {node.name!r}): replace the layer, or export to another format"
        )


@OPERATORS.implements(Linear)
def _linear(_: Linear, node: Node, model: TfliteBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    source, target = model.activation(x), model.activation(node.output)
    values = model.graph.constants[weight]  # [O, I]
    if weight in model.params and model.params[weight].scale.size > 1:
        # FULLY_CONNECTED learned of a scale an output channel without a new version: older runtimes load such a file
        # and answer nonsense (tflite-runtime 2.7 and 2.8; 2.10 is right), and XNNPACK took it up later still (not in
        # 2.12). As a 1x1 convolution the layer is right in all of them, in one XNNPACK piece, and as fast.
        out_features, in_features = values.shape
        dtype = model.dtype(x)
        pixel = model.tensor(f"{node.name}.pixel", (model.batch, 1, 1, in_features), dtype, model.params[x])
        result = model.tensor(
            f"{node.name}.result", (model.batch, 1, 1, out_features), dtype, model.params[node.output]
        )
        _reshape(f"{node.name}.to_pixel", source, pixel, (1, 1, in_features), model)
        options = {"padding": model.schema.Padding.VALID, "strideH": 1, "strideW": 1}
        _convolution(node, pixel, values[:, None, None, :], result, options, model)
        _reshape(f"{node.name}.from_pixel", result, target, (out_features,), model)
        return
    inputs = [source, model.weight(weight, values, 0), model.bias(bias, x, weight)]
    code = _code("FULLY_CONNECTED", x, model, 1, 4, 7)
    _emit(node, model, code, inputs, target, ("FullyConnectedOptions", {}))


@OPERATORS.implements(Add)
def _add(_: Add, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.inputs]
    code = _code("ADD", node.output, model, 1, 2, 3)
    options = {"potScaleInt16": False} if model.dtype(node.output) == "int16" else {}
    _emit(node, model, code, inputs, model.activation(node.output), ("AddOptions", options))


@OPERATORS.implements(Mul)
def _mul(_: Mul, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.inputs]
    code = _code("MUL", node.output, model, 1, 2, 4)
    if model.dtype(node.output) == "int8":
        a, b, out = (model.params[name].scale[0] for name in (*node.inputs, node.output))
        code = ("MUL", 3) if a * b / out >= 1 else code
    _emit(node, model, code, inputs, model.activation(node.output), ("MulOptions", {}))


@OPERATORS.implements(Mean)
def _mean(op: Mean, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.activation(node.operand("x")), model.integers(f"{node.name}.axes", [1, 2])]
    options = {"keepDims": op.keep_dims}
    code = _code("MEAN", node.output, model, 1, 2, 3)
    model.operator(*code, inputs, model.activation(node.output), ("ReducerOptions", options))


@OPERATORS.implements(Pad)
def _pad(op: Pad, node: Node, model: TfliteBuilder) -> None:
    _pad_operator(node, model.activation(node.operand("x")), model.activation(node.output), op.padding, model)


@OPERATORS.implements(Flatten)
def _flatten(_: Flatten, node: Node, model: TfliteBuilder) -> None:
    x = node.operand("x")
    assert model.graph.tensors[x].shape[1:] == (1, 1), "in NHWC the values of a feature map would come in another order"
    source, target = model.activation(x), model.activation(node.output)
    _reshape(f"{node.name}.shape", source, target, model.graph.tensors[node.output].shape, model)


@OPERATORS.implements(Concat)
def _concat(_: Concat, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.activation(x) for x in node.operands("xs")]
    options = {"axis": len(model.graph.tensors[node.output].shape), "fusedActivationFunction": 0}  # the last in NHWC
    code = _code("CONCATENATION", node.output, model, 1, 2, 3)
    model.operator(*code, inputs, model.activation(node.output), ("ConcatenationOptions", options))


@OPERATORS.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, model: TfliteBuilder) -> None:
    model.operator("HARD_SWISH", 1, [model.activation(node.operand("x"))], model.activation(node.output))


OPERATORS.refuses(Clamp, UNFUSED)


@OPERATORS.implements(Quantize, Requantize)
def _quantize(_: Op, node: Node, model: TfliteBuilder) -> None:
    source, target = model.activation(node.operand("x")), model.activation(node.output)
    model.operator(*_code("QUANTIZE", node.output, model, 1, 1, 2), [source], target, ("QuantizeOptions", {}))


@OPERATORS.implements(Dequantize)
def _dequantize(_: Dequantize, node: Node, model: TfliteBuilder) -> None:
    source, target = model.activation(node.operand("x")), model.activation(node.output)
    model.operator(*_code("DEQUANTIZE", node.operand("x"), model, 2, 2, 3), [source], target, ("DequantizeOptions", {}))


def oldest_runtime(codes: Collection[tuple[str, int]]) -> Release:
    """The release of the oldest runtime that has all of these operators, each in its version."""
    unknown = [code for code in codes if code not in RELEASES]
    assert not unknown, f"nobody looked up which runtimes have {unknown}"
    return max(RELEASES[code] for code in codes)


def _code(  # noqa: PLR0913, PLR0917 - a version for each type
    builtin: str, tensor: str, model: TfliteBuilder, real: int, int8: int, int16: int
) -> tuple[str, int]:
    """An operator in the version that takes the type of ``tensor``."""
    return builtin, {"float32": real, "int8": int8, "int16": int16}[model.dtype(tensor)]


def _emit(  # noqa: PLR0913, PLR0917 - an operator has this many parts
    node: Node,
    model: TfliteBuilder,
    code: tuple[str, int],
    inputs: list[int],
    target: int,
    options: tuple[str, Mapping[str, int]],
) -> None:
    """Write the operator that computes ``node``, with its clamp: fused as far as TFLite can, else behind it."""
    low, high = (-math.inf, math.inf) if node.activation is None else (node.activation.low, node.activation.high)
    functions = model.schema.ActivationFunctionType
    fused, bounds = int(functions.NONE), {"MAXIMUM": low, "MINIMUM": high}
    if (low, high) == (0.0, 6.0):
        fused, bounds = int(functions.RELU6), {}
    elif low == 0.0:
        fused, bounds = int(functions.RELU), {"MINIMUM": high}
    bounds = {kind: bound for kind, bound in bounds.items() if math.isfinite(bound)}
    shape, dtype, params = (
        model.shape(node.output),
        model.dtype(node.output),
        model.params.get(node.output),
    )
    results = [model.tensor(f"{node.output}.unclamped.{kind.lower()}", shape, dtype, params) for kind in bounds]
    results.append(target)
    table, fields = options
    model.operator(*code, inputs, results[0], (table, {**fields, "fusedActivationFunction": fused}))
    for (kind, bound), (source, result) in zip(bounds.items(), pairwise(results), strict=True):
        value = np.array([bound], np.float32)
        stored = value if params is None else params.quantize(value)
        limit = model.constant(f"{node.output}.{kind.lower()}", stored, params)
        model.operator(
            *_code(kind, node.output, model, 1, 2, 4), [source, limit], result, ("MaximumMinimumOptions", {})
        )


def _convolution(  # noqa: PLR0913, PLR0917 - a CONV_2D has this many parts
    node: Node, source: int, kernel: NDArray[Any], target: int, options: Mapping[str, int], model: TfliteBuilder
) -> None:
    """CONV_2D with the weight, bias and clamp of ``node``; ``kernel`` is the weight as [O, kH, kW, I]."""
    x, weight, bias = node.read("x", "weight", "bias")
    inputs = [source, model.weight(weight, kernel, 0), model.bias(bias, x, weight)]
    _emit(node, model, _code("CONV_2D", x, model, 1, 3, 4), inputs, target, ("Conv2DOptions", options))


def _padded(node: Node, source: int, padding: Padding, model: TfliteBuilder) -> int:
    """The input of a convolution whose padding is neither SAME nor VALID, padded by an operator of its own."""
    x = node.operand("x")
    _, height, width, channels = model.shape(x)
    shape = (model.batch, height + padding.top + padding.bottom, width + padding.left + padding.right, channels)
    padded = model.tensor(f"{node.name}.padded", shape, model.dtype(x), model.params.get(x))
    _pad_operator(node, source, padded, padding, model)
    return padded


def _pad_operator(node: Node, source: int, target: int, padding: Padding, model: TfliteBuilder) -> None:
    """PAD with real zeros; in an integer model those are the zero point, which the kernels see to."""
    rows = [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]
    inputs = [source, model.integers(f"{node.name}.paddings", rows)]
    model.operator(*_code("PAD", node.output, model, 1, 2, 3), inputs, target, ("PadOptions", {}))


def _reshape(name: str, source: int, target: int, shape: tuple[int, ...], model: TfliteBuilder) -> None:
    """RESHAPE to any batch of ``shape``, with ``name`` for the tensor that holds it.

    -1 for the batch, whatever it is, keeps XNNPACK in one piece, and a file that is resized whole.
    """
    wanted = [-1, *shape]
    inputs = [source, model.integers(name, wanted)]
    model.operator("RESHAPE", 1, inputs, target, ("ReshapeOptions", {"newShape": wanted}))
