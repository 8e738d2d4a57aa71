"""ONNX files -> Graph; ONNX Runtime on the original file is the oracle."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.capture import input_shape, num_classes
from edgekit.capture.onnx import capture
from edgekit.capture.onnx_head import Arithmetic
from edgekit.capture.torch_export import capture as torch_capture
from edgekit.errors import CheckpointError, MissingDependency, UnsupportedOperator
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Conv2d, HardSigmoid, HardSwish, Linear
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.network import build
from edgekit.passes import float_form, integer_form

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.capture.onnx import Captured
    from tests.capture.conftest import OnnxSketch

onnx = pytest.importorskip("onnx", reason="pip install 'edgekit[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'edgekit[onnx]'")
pytest.importorskip("onnxsim", reason="pip install 'edgekit[onnx]'")


def _stem(sketch: OnnxSketch) -> str:
    return sketch.conv("image", (3, 4), 3)  # [1, 4, 6, 6]


RESIZES: tuple[dict[str, str], ...] = (
    {},
    {"nearest_mode": "round_prefer_ceil"},
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "round_prefer_floor"},
    {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"},
    {"mode": "linear"},
    {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
)


def _resized(sketch: OnnxSketch, *operands: str, op_type: str = "Resize", **attributes: Any) -> str:
    """Behind it a convolution, of which every pixel counts."""
    return sketch.conv(sketch.node(op_type, *operands, **attributes), (4, 4), 3)


# --- what stands between two layers -----------------------------------------------------------------------------------


def _split(s: OnnxSketch, x: str, axis: int, sizes: list[int]) -> list[str]:
    outputs = [f"/net/Split_{len(s.nodes)}_{place}_output" for place in range(len(sizes))]
    s.nodes.append(s.onnx.helper.make_node("Split", [x, s.constant(sizes)], outputs, axis=axis))
    return outputs


def _transposed(s: OnnxSketch, x: str, *order: int) -> str:
    return s.node("Transpose", x, perm=order)


def _rows(s: OnnxSketch, x: str) -> str:
    """A linear layer at every place of [1, 4, 6, 6], as rows."""
    rows = _transposed(s, s.node("Reshape", x, s.constant([1, 4, 36])), 0, 2, 1)
    made = s.node("Add", s.node("MatMul", rows, s.array(4, 4)), s.array(4))
    return s.node("Reshape", _transposed(s, made, 0, 2, 1), s.constant([1, 4, 6, 6]))


def _every_second(s: OnnxSketch, x: str, row: int, column: int) -> str:
    starts, ends, axes, steps = (s.constant(values) for values in ([row, column], [99, 99], [2, 3], [2, 2]))
    return s.node("Slice", x, starts, ends, axes, steps)


MIDDLES: dict[str, tuple[int, Any]] = {
    "MaxPool": (13, lambda s, x: s.node("MaxPool", x, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 1, 0, 1])),
    "MaxPool, rounded up": (13, lambda s, x: s.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    "MaxPool, dilated": (13, lambda s, x: s.node("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 3])),
    "MaxPool of TensorFlow": (
        13, lambda s, x: s.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    ),
    "GlobalMaxPool": (13, lambda s, x: s.node("Mul", x, s.node("GlobalMaxPool", x))),
    "channel shuffle": (
        13,
        lambda s, x: s.node(
            "Reshape",
            s.node("Transpose", s.node("Reshape", x, s.constant([1, 2, 2, 6, 6])), perm=[0, 2, 1, 3, 4]),
            s.constant([1, 4, 6, 6]),
        ),
    ),
    "channels split and joined": (
        13,
        lambda s, x: s.node("Concat", *_split(s, x, 1, [1, 3])[::-1], axis=1),
    ),
    "half of the channels computed with": (
        13,
        lambda s, x: s.node("Concat", _split(s, x, 1, [2, 2])[0], s.conv(_split(s, x, 1, [2, 2])[1], (2, 2)), axis=1),
    ),
    "rows split and joined": (13, lambda s, x: s.node("Concat", *_split(s, x, 2, [2, 4])[::-1], axis=2)),
    "every second pixel": (13, lambda s, x: _every_second(s, x, 0, 1)),
    "space to depth, as YOLOX has it": (
        13,
        lambda s, x: s.conv(
            s.node("Concat", *(_every_second(s, x, i, j) for j in range(2) for i in range(2)), axis=1), (16, 4)
        ),
    ),
    "a row": (
        13,
        lambda s, x: s.node("Mul", x, s.node("Unsqueeze", s.node("Gather", x, s.constant(0), axis=3), s.constant([3]))),
    ),
    "some rows": (13, lambda s, x: s.node("Gather", x, s.constant([1, 3, 5]), axis=2)),
    "channels of zeros": (13, lambda s, x: s.conv(s.node("Pad", x, s.constant([0, 1, 0, 2, 0, 3, -1, 0])), (8, 4))),
    "rows and columns exchanged": (13, lambda s, x: s.conv(s.node("Transpose", x, perm=[0, 1, 3, 2]), (4, 4))),
    "Relu": (17, lambda s, x: s.node("Relu", x)),
    "Clip with attributes": (9, lambda s, x: s.node("Clip", x, min=0.0, max=6.0)),
    "Clip with inputs": (13, lambda s, x: s.node("Clip", x, s.constant(0.0), s.constant(6.0))),
    "Clip from below": (13, lambda s, x: s.node("Clip", x, s.constant(-0.5))),
    "Clip from above": (13, lambda s, x: s.node("Relu", s.node("Clip", x, "", s.constant(1.0)))),
    "Max and Min": (13, lambda s, x: s.node("Min", s.node("Max", x, s.constant(0.0)), s.constant(1.0))),
    "dilated Conv": (11, lambda s, x: s.conv(x, (4, 4), 3, dilations=[2, 1], pads=[2, 1, 2, 1])),
    "Concat": (
        13,
        lambda s, x: s.conv(s.node("Concat", x, s.node("Relu", x), axis=1), (8, 4), 1),
    ),
    "Concat of an axis from the right": (
        11,
        lambda s, x: s.conv(s.node("Concat", x, x, s.node("Relu", x), axis=-3), (12, 4), 1),
    ),
    "LeakyRelu": (13, lambda s, x: s.node("LeakyRelu", x, alpha=0.2)),
    "PRelu": (13, lambda s, x: s.node("PRelu", x, s.array(4, 1, 1))),
    "PRelu of one slope": (13, lambda s, x: s.node("PRelu", x, s.array(1))),
    "PRelu of every number": (13, lambda s, x: s.node("PRelu", x, s.array(4, 6, 6))),
    "HardSwish": (14, lambda s, x: s.node("HardSwish", x)),
    "HardSigmoid": (17, lambda s, x: s.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
    "Sigmoid": (13, lambda s, x: s.node("Sigmoid", x)),
    "SiLU": (13, lambda s, x: s.node("Mul", x, s.node("Sigmoid", x))),
    **{
        f"Resize, {attributes}": (
            13,
            lambda s, x, a=attributes: _resized(s, x, "", s.constant([1.0, 1.0, 2.0, 4.0]), **a),
        )
        for attributes in RESIZES
    },
    "Resize of opset 11 to a size": (
        11,
        lambda s, x: _resized(
            s, x, s.constant([0.0]), s.constant(np.zeros(0)), s.constant([1, 4, 9, 7]), mode="linear"
        ),
    ),
    "Resize of opset 18 along two axes": (
        18,
        lambda s, x: _resized(s, x, "", "", s.constant([12, 6]), mode="nearest", axes=[2, 3]),
    ),
    "Resize of opset 10": (10, lambda s, x: _resized(s, x, s.constant([1.0, 1.0, 2.0, 2.0]))),
    **{
        f"Upsample, {mode}": (
            9,
            lambda s, x, m=mode: _resized(s, x, s.constant([1.0, 1.0, 3.0, 2.0]), op_type="Upsample", mode=m),
        )
        for mode in ("nearest", "linear")
    },
    "Keras' hard sigmoid": (17, lambda s, x: s.node("HardSigmoid", x)),
    "BatchNormalization": (17, lambda s, x: s.norm(x, 4)),
    "BatchNormalization of opset 7": (7, lambda s, x: s.norm(x, 4)),
    "batch normalization as Mul and Add": (
        13,
        lambda s, x: s.node("Add", s.node("Mul", x, s.array(1, 4, 1, 1)), s.array(4, 1, 1)),
    ),
    "batch normalization as Sub and Div": (
        13,
        lambda s, x: s.node("Div", s.node("Sub", x, s.array(4, 1, 1)), s.constant(np.arange(1.0, 5).reshape(4, 1, 1))),
    ),
    "constants": (13, lambda s, x: s.node("Sub", s.constant(2.0), s.node("Div", x, s.constant([3.0])))),
    "arrays": (13, lambda s, x: s.node("Mul", s.node("Sub", s.array(4, 6, 6), x), s.array(1, 1, 6))),
    "arrays beside NHWC": (
        13,
        lambda s, x: s.node(
            "Transpose",
            s.node("Add", s.node("Transpose", x, perm=[0, 2, 3, 1]), s.array(1, 6, 6, 4)),
            perm=[0, 3, 1, 2],
        ),
    ),
    "a difference": (13, lambda s, x: s.node("Sub", s.node("Relu", x), s.conv(x, (4, 4)))),
    "sums that are repeated": (
        13,
        lambda s, x: s.node("Sub", s.node("GlobalAveragePool", x), s.node("Mul", x, s.conv(x, (4, 1)))),
    ),
    "residual": (13, lambda s, x: s.node("Add", x, s.conv(s.node("Relu", x), (4, 4)))),
    "residual as Sum": (13, lambda s, x: s.node("Sum", s.conv(x, (4, 4)), x)),
    "square": (13, lambda s, x: s.node("Mul", x, x)),
    "depthwise": (13, lambda s, x: s.conv(x, (4, 4), 3, group=4, pads=[1, 1, 1, 1], strides=[2, 2])),
    "groups": (13, lambda s, x: s.conv(s.conv(x, (4, 6), 3, group=2), (6, 4), 1, group=2)),
    "ConvTranspose": (11, lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 2, 2), s.array(4), strides=[2, 2])),
    "ConvTranspose of groups": (
        11,
        lambda s, x: s.node(
            "ConvTranspose", x, s.array(4, 2, 3, 3), strides=[2, 1], pads=[1, 0, 0, 1], output_padding=[1, 0], group=2
        ),
    ),
    "ConvTranspose, SAME_UPPER": (
        11,
        lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    ),
    "ConvTranspose, SAME_LOWER": (
        11,
        lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    ),
    "ConvTranspose to a size": (
        11,
        lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 4, 4), strides=[2, 2], output_shape=[11, 13]),
    ),
    "ConvTranspose with gaps": (
        11,
        lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 2, 2), strides=[3, 1], dilations=[2, 3]),
    ),
    "Conv without bias": (13, lambda s, x: s.node("Conv", x, s.array(4, 4, 1, 1))),
    "pads of four sides": (13, lambda s, x: s.conv(x, (4, 4), 3, pads=[0, 1, 2, 1], strides=[2, 1])),
    "VALID": (13, lambda s, x: s.conv(x, (4, 4), 3, auto_pad="VALID")),
    "SAME_UPPER": (13, lambda s, x: s.conv(x, (4, 4), 3, auto_pad="SAME_UPPER", strides=[2, 2])),
    "SAME_LOWER": (13, lambda s, x: s.conv(x, (4, 4), 3, auto_pad="SAME_LOWER", strides=[2, 2])),
    "Pad with attribute": (9, lambda s, x: s.conv(s.node("Pad", x, pads=[0, 0, 0, 1, 0, 0, 2, 3]), (4, 4), 3)),
    "Pad with inputs": (
        13,
        lambda s, x: s.conv(s.node("Pad", x, s.constant([0, 0, 0, 1, 0, 0, 2, 3]), s.constant(0.0)), (4, 4), 3),
    ),
    "Pad with axes": (18, lambda s, x: s.node("Pad", x, s.constant([1, 2, 3, 4]), "", s.constant([3, 2]))),
    "AveragePool": (13, lambda s, x: s.node("AveragePool", x, kernel_shape=[2, 3])),
    "AveragePool of counted zeros": (
        13,
        lambda s, x: s.node(
            "AveragePool", x, kernel_shape=[3, 3], strides=[2, 1], pads=[0, 1, 2, 1], count_include_pad=1
        ),
    ),
    "AveragePool, SAME_UPPER": (
        13,
        lambda s, x: s.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    ),
    "AveragePool, SAME_LOWER": (
        13, lambda s, x: s.node("AveragePool", x, kernel_shape=[2, 2], auto_pad="SAME_LOWER")
    ),
    "AveragePool beyond the end": (
        13, lambda s, x: s.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1)
    ),
    "ConvTranspose of a size": (
        13, lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 3, 3), strides=[2, 2], output_shape=[12, 13])
    ),
    "ConvTranspose of a size beyond its windows": (
        13, lambda s, x: s.node("ConvTranspose", x, s.array(4, 4, 3, 3), strides=[2, 2], output_shape=[14, 13])
    ),
    "ReduceMean of channels": (13, lambda s, x: s.node("Mul", x, s.node("ReduceMean", x, axes=[1]))),
    "ReduceMean of channels, dropped": (
        13,
        lambda s, x: s.conv(
            s.node("Unsqueeze", s.node("ReduceMean", x, axes=[1], keepdims=0), s.constant([1])), (1, 4)
        ),
    ),
    "ReduceMax of channels last": (
        13,
        lambda s, x: s.node(
            "Add", x, _transposed(s, s.node("ReduceMax", _transposed(s, x, 0, 2, 3, 1), axes=[3]), 0, 3, 1, 2)
        ),
    ),
    "Pad by copies": (13, lambda s, x: s.node("Pad", x, s.constant([0, 0, 1, 2, 0, 0, 0, 1]), mode="reflect")),
    "MatMul of rows": (13, _rows),
    "MatMul of columns": (13, lambda s, x: s.node("MatMul", x, s.array(6, 5))),
    "Sum of three": (13, lambda s, x: s.node("Sum", x, s.node("Relu", x), s.conv(x, (4, 4)))),
    "Expand of a gate": (
        13,
        lambda s, x: s.node("Mul", x, s.node("Expand", s.node("GlobalAveragePool", x), s.constant([1, 4, 6, 6]))),
    ),
    "DepthToSpace": (13, lambda s, x: s.conv(s.node("DepthToSpace", x, blocksize=2), (1, 4), 3)),
    "DepthToSpace, CRD": (
        13,
        lambda s, x: s.conv(s.node("DepthToSpace", s.conv(x, (4, 8)), blocksize=2, mode="CRD"), (2, 4), 3),
    ),
    "SpaceToDepth": (13, lambda s, x: s.conv(s.node("SpaceToDepth", x, blocksize=2), (16, 4), 3)),
    "Identity and Cast": (13, lambda s, x: s.node("Cast", s.node("Identity", x), to=1)),
    "Dropout of opset 9": (9, lambda s, x: s.node("Relu", s.node("Dropout", x, ratio=0.3))),
    "Dropout": (13, lambda s, x: s.node("Relu", s.node("Dropout", x, s.constant(0.3)))),
    "Transpose there and back": (
        13,
        lambda s, x: s.node("Transpose", s.node("Relu", s.node("Transpose", x, perm=[0, 2, 3, 1])), perm=[0, 3, 1, 2]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("opset", "write"), MIDDLES.values(), ids=MIDDLES.keys())
def test_middle(opset: int, write: Any, sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    captured = matches(sketch.save(sketch.head(write(sketch, _stem(sketch))), opset))
    assert captured.notes == ()
    assert input_shape(captured.graph) == (3, 8, 8)
    assert num_classes(captured.graph) == 3


def _hard_sigmoid(sketch: OnnxSketch, x: str) -> str:
    return sketch.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _relu6(sketch: OnnxSketch, x: str) -> str:
    shifted = sketch.node("Add", x, sketch.constant(3.0))
    return sketch.node("Clip", shifted, sketch.constant(0.0), sketch.constant(6.0))


SWISHES: dict[str, Any] = {
    "x * HardSigmoid(x)": lambda s, x: s.node("Mul", x, _hard_sigmoid(s, x)),
    "HardSigmoid(x) * x": lambda s, x: s.node("Mul", _hard_sigmoid(s, x), x),
    "x * Clip(x + 3) / 6": lambda s, x: s.node("Div", s.node("Mul", x, _relu6(s, x)), s.constant(6.0)),
    "x * (Clip(x + 3) / 6)": lambda s, x: s.node("Mul", x, s.node("Div", _relu6(s, x), s.constant([6.0]))),
    "x * (Clip(x + 3) * 0.16667)": lambda s, x: s.node("Mul", x, s.node("Mul", _relu6(s, x), s.constant(0.16667))),
}


@pytest.mark.parametrize("write", SWISHES.values(), ids=SWISHES.keys())
def test_hard_swish_is_recognised(write: Any, sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    captured = matches(sketch.save(sketch.head(write(sketch, _stem(sketch)))))
    assert sum(isinstance(node.op, HardSwish) for node in float_form(captured.graph)) == 1
    assert len(integer_form(captured.graph).nodes) == 5  # the convolution, its gate, Mul, Mean, Linear


# --- squeeze-and-excite and heads -------------------------------------------------------------------------------------


def _excite(sketch: OnnxSketch, pooled: str) -> str:
    squeezed = sketch.node("Relu", sketch.conv(pooled, (4, 2)))
    return _hard_sigmoid(sketch, sketch.conv(squeezed, (2, 4)))


def _excite_linear(sketch: OnnxSketch, pooled: str) -> str:
    squeezed = sketch.node("Relu", sketch.gemm(sketch.node("Flatten", pooled), (4, 2)))
    gate = _hard_sigmoid(sketch, sketch.gemm(squeezed, (2, 4)))
    return sketch.node("Reshape", gate, sketch.constant([1, 4, 1, 1]))


GATES: dict[str, Any] = {
    "GlobalAveragePool": lambda s, x: _excite(s, s.node("GlobalAveragePool", x)),
    "ReduceMean": lambda s, x: _excite(s, s.node("ReduceMean", x, axes=[2, 3], keepdims=1)),
    "Keras before 2.6": lambda s, x: _excite(
        s, s.node("Reshape", s.node("ReduceMean", x, axes=[2, 3], keepdims=0), s.constant([-1, 4, 1, 1]))
    ),
    "linear layers": lambda s, x: _excite_linear(s, s.node("GlobalAveragePool", x)),
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES.keys())
def test_squeeze_and_excite(gate: Any, sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    x = _stem(sketch)
    scaled = sketch.node("Mul", gate(sketch, x), x)
    captured = matches(sketch.save(sketch.head(sketch.node("HardSwish", scaled))))
    kinds = [type(node.op) for node in captured.graph]
    assert kinds.count(Conv2d) == 3
    assert kinds.count(Linear) == 1
    assert kinds.count(HardSigmoid) == 1


def _flat_by_batch(sketch: OnnxSketch, pooled: str) -> str:
    """``x.view(x.size(0), -1)``, as old exporters of torch write it."""
    batch = sketch.node("Gather", sketch.node("Shape", pooled), sketch.constant(np.array(0)), axis=0)
    size = sketch.node("Concat", sketch.node("Unsqueeze", batch, axes=[0]), sketch.constant([-1]), axis=0)
    return sketch.gemm(sketch.node("Reshape", pooled, size), (4, 3))


HEADS: dict[str, tuple[int, Any]] = {
    "Gemm as it is": (
        13,
        lambda s, x: s.node("Gemm", s.node("Flatten", s.node("GlobalAveragePool", x)), s.array(4, 3), s.array(1, 3)),
    ),
    "Gemm with factors": (
        13,
        lambda s, x: s.node(
            "Gemm", s.node("Flatten", s.node("GlobalAveragePool", x)), s.array(4, 3), s.array(3), alpha=0.5, beta=2.0
        ),
    ),
    "MatMul and Add": (
        13,
        lambda s, x: s.node(
            "Add",
            s.node("MatMul", s.node("Squeeze", s.node("GlobalAveragePool", x), s.constant([2, 3])), s.array(4, 3)),
            s.array(3),
        ),
    ),
    "ReduceMean without axes": (11, lambda s, x: s.gemm(s.node("ReduceMean", x, axes=[-1, 2], keepdims=0), (4, 3))),
    "ReduceMean of opset 18": (
        18,
        lambda s, x: s.gemm(s.node("ReduceMean", x, s.constant([2, 3]), keepdims=0), (4, 3)),
    ),
    "AveragePool of everything": (
        13,
        lambda s, x: s.gemm(s.node("Flatten", s.node("AveragePool", x, kernel_shape=[6, 6])), (4, 3)),
    ),
    "Reshape with -1": (
        9,
        lambda s, x: s.gemm(s.node("Reshape", s.node("GlobalAveragePool", x), s.constant([-1, 4])), (4, 3)),
    ),
    "Reshape by the size of the batch": (11, lambda s, x: _flat_by_batch(s, s.node("GlobalAveragePool", x))),
    "convolution": (
        13,
        lambda s, x: s.node("Reshape", s.conv(s.node("GlobalAveragePool", x), (4, 3)), s.constant([1, 3])),
    ),
    "Keras' V1": (
        13,
        lambda s, x: s.node(
            "Squeeze",
            s.conv(
                s.node("Unsqueeze", s.node("ReduceMean", x, axes=[2, 3], keepdims=0), s.constant([2, 3])), (4, 3)
            ),
            s.constant([2, 3]),
        ),
    ),
    "dense layer on NHWC": (
        13,
        lambda s, x: s.node(
            "ReduceMean",
            s.node("MatMul", s.node("Relu", s.node("Transpose", x, perm=[0, 2, 3, 1])), s.array(4, 3)),
            axes=[1, 2],
            keepdims=0,
        ),
    ),
    "hidden layer": (
        14,
        lambda s, x: s.gemm(
            s.node("HardSwish", s.gemm(s.node("Flatten", s.node("GlobalAveragePool", x)), (4, 5))), (5, 3)
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("opset", "write"), HEADS.values(), ids=HEADS.keys())
def test_head(opset: int, write: Any, sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    captured = matches(sketch.save(write(sketch, _stem(sketch)), opset))
    assert num_classes(captured.graph) == 3


# --- what surrounds the network ---------------------------------------------------------------------------------------


def test_a_final_softmax_is_left_out_and_noted(sketch: OnnxSketch, run_onnx: Any) -> None:
    logits = sketch.conv(sketch.node("GlobalAveragePool", _stem(sketch)), (4, 3))
    softmax = sketch.node("Softmax", sketch.node("Transpose", logits, perm=[0, 2, 3, 1]), axis=-1)
    path = sketch.save(sketch.node("Reshape", softmax, sketch.constant([1, 3])))
    captured = capture(path)
    (note,) = captured.notes
    assert note.startswith("Softmax at the end left out (node 'net.Softmax_")
    assert [type(node.op).__name__ for node in captured.graph] == ["Conv2d", "Mean", "Conv2d", "Rearrange"]
    x = torch.randn(1, 3, 8, 8)
    found = FloatExecutor(float_form(captured.graph))(x)["logits"].softmax(1)
    torch.testing.assert_close(found, run_onnx(path, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_files_of_tensorflow_take_nhwc(
    batch: int | str, sketch: OnnxSketch, matches: Callable[[Path], Captured]
) -> None:
    x = sketch.node("Transpose", sketch.node("Sub", "image", sketch.constant(0.5)), perm=[0, 3, 1, 2])
    x = sketch.node("Relu", sketch.conv(x, (3, 4), 3, auto_pad="SAME_UPPER", strides=[2, 2]))
    a, b = (sketch.node("Transpose", y, perm=[0, 2, 3, 1]) for y in (x, sketch.conv(x, (4, 4))))
    total = sketch.node("Add", a, sketch.node("Mul", b, sketch.array(4)))
    pooled = sketch.node("ReduceMean", total, axes=[1, 2], keepdims=0)
    captured = matches(sketch.save(sketch.gemm(pooled, (4, 3)), 13, (batch, 8, 10, 3)))
    assert input_shape(captured.graph) == (3, 8, 10)
    assert captured.arithmetic == Arithmetic((0.5,) * 3, (1.0,) * 3, 1.0)


def test_normalization_is_told_and_left_out(sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    x = sketch.node("Div", "image", sketch.constant(255.0))
    x = sketch.node("Sub", x, sketch.constant(np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)))
    x = sketch.node("Div", x, sketch.constant(np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)))
    captured = matches(sketch.save(sketch.head(_stem_of(sketch, x))))
    assert captured.arithmetic is not None
    mean, std = captured.arithmetic.mean, captured.arithmetic.std
    assert captured.arithmetic.unit == 255
    assert mean == pytest.approx((123.675, 116.28, 103.53))
    assert std == pytest.approx((58.395, 57.12, 57.375))
    (note,) = captured.notes
    assert "left out, (x - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]" in note
    assert captured.graph.nodes[0].inputs[0] == captured.graph.input


def test_a_batch_normalization_of_the_image_is_one_too(sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    captured = matches(sketch.save(sketch.head(_stem_of(sketch, sketch.norm("image", 3)))))
    assert captured.arithmetic is not None
    assert isinstance(captured.graph.nodes[0].op, Conv2d)


def _stem_of(sketch: OnnxSketch, x: str) -> str:
    return sketch.conv(x, (3, 4), 3)


def test_pixels_of_eight_bits(sketch: OnnxSketch, run_onnx: Any) -> None:
    x = sketch.node("Div", sketch.node("Cast", "image", to=1), sketch.constant(127.5))
    model = sketch.model(sketch.head(_stem_of(sketch, sketch.node("Sub", x, sketch.constant(1.0)))), 13)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    path = sketch.folder / "uint8.onnx"
    onnx.save(model, path)
    captured = capture(path)
    assert captured.arithmetic is not None
    assert captured.arithmetic == Arithmetic((127.5,) * 3, (127.5,) * 3, 255.0)
    pixels = torch.randint(0, 256, (1, 3, 8, 8)).float()
    found = FloatExecutor(float_form(captured.graph))(pixels / 127.5 - 1)["logits"]
    torch.testing.assert_close(found, run_onnx(path, pixels), rtol=1e-4, atol=1e-4)


def test_float16_becomes_float32(sketch: OnnxSketch, run_onnx: Any) -> None:
    model = sketch.model(sketch.head(sketch.node("Relu", _stem(sketch))), 13)
    half = onnx.TensorProto.FLOAT16
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = half
    for initializer in model.graph.initializer:
        array = onnx.numpy_helper.to_array(initializer).astype(np.float16)
        initializer.CopyFrom(onnx.numpy_helper.from_array(array, initializer.name))
    path = sketch.folder / "half.onnx"
    onnx.save(model, path)
    graph = capture(path).graph
    assert {array.dtype.name for array in graph.constants.values()} == {"float32"}
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(FloatExecutor(float_form(graph))(x)["logits"], run_onnx(path, x), rtol=1e-2, atol=1e-2)


def test_weights_in_a_file_of_their_own(sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    path = sketch.folder / "net.onnx"
    model = sketch.model(sketch.head(_stem(sketch)), 13)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    matches(path)
    (sketch.folder / "weights.bin").unlink()
    with pytest.raises(CheckpointError, match=r"net.onnx: its weights .*'weights.bin', which is not in .*: put it"):
        capture(path)


def test_weights_among_the_inputs(sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    """As files of IR version 3 have them."""
    model = sketch.model(sketch.head(_stem(sketch)), 8)
    model.ir_version = 3
    for initializer in model.graph.initializer:
        value = onnx.helper.make_tensor_value_info(initializer.name, initializer.data_type, initializer.dims)
        model.graph.input.append(value)
    path = sketch.folder / "old.onnx"
    onnx.save(model, path)
    matches(path)


def test_functions_are_inlined(sketch: OnnxSketch, matches: Callable[[Path], Captured]) -> None:
    """As torch's exporter wrote them for a while."""
    opsets = [onnx.helper.make_opsetid("", 18)]
    body = [onnx.helper.make_node("Relu", ["a"], ["b"]), onnx.helper.make_node("Neg", ["b"], ["c"])][:1]
    function = onnx.helper.make_function("pkg.torch", "ReLU", ["a"], ["b"], body, opsets)
    model = sketch.model(sketch.head(sketch.node("ReLU", _stem(sketch), domain="pkg.torch")), 18)
    model.functions.append(function)
    model.opset_import.append(onnx.helper.make_opsetid("pkg.torch", 1))
    path = sketch.folder / "functions.onnx"
    onnx.save(model, path)
    matches(path)


def test_names_are_readable_and_unique(sketch: OnnxSketch) -> None:
    x = sketch.conv("image", (3, 4))
    sketch.nodes[-1].name = "/features/features.0/features.0.0/Conv"
    x = sketch.node("Relu", x)
    sketch.nodes[-1].name = ""
    x = sketch.node("Relu", sketch.conv(x, (4, 4)))
    sketch.nodes[-1].name, sketch.nodes[-2].name = "", "model/block/conv:0"
    graph = capture(sketch.save(sketch.head(x))).graph
    names = [node.name for node in graph]
    assert [names[0], names[2]] == ["features.0.0.Conv", "model.block.conv.0"]
    assert len(set(names)) == 7
    assert graph.name == "net"
    assert graph.input == "image"
    assert "features.0.0.Conv.weight" in graph.constants


def test_nothing_is_printed(sketch: OnnxSketch, capfd: pytest.CaptureFixture[str]) -> None:
    capture(sketch.save(sketch.head(_stem(sketch))))
    assert capfd.readouterr() == ("", "")


# --- whole networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [11, 17])  # hard-swish is an operator since opset 14
def test_files_of_torchs_exporter(opset: int, tmp_path: Path, matches: Callable[[Path], Captured]) -> None:
    torch.manual_seed(0)
    architecture = mobilenet_v3_digits(0.5, 5, padding="same")
    path, size = tmp_path / "net.onnx", architecture.size[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is deprecated, and its files will be around for long
        torch.onnx.export(
            build(architecture).eval(),
            (torch.zeros(1, 3, size, size),),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )
    captured = matches(path)
    torchs = torch_capture(build(architecture), "net", (3, size, size))
    for form in (float_form, integer_form):
        ops = [type(node.op).__name__ for node in form(captured.graph)]
        assert ops == [type(node.op).__name__ for node in form(torchs)]


def test_files_of_torchs_new_exporter(tmp_path: Path, matches: Callable[[Path], Captured]) -> None:
    pytest.importorskip("onnxscript", reason="torch.onnx.export(dynamo=True) needs it")
    torch.manual_seed(0)
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            build(mobilenet_v3_digits(0.5, 5)).eval(),
            (torch.zeros(2, 3, 32, 32),),
            path,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    matches(path)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_files_that_are_none(tmp_path: Path, sketch: OnnxSketch) -> None:
    whole = sketch.save(sketch.head(_stem(sketch))).read_bytes()
    path = tmp_path / "some.onnx"
    with pytest.raises(CheckpointError, match=r"some.onnx: it does not exist: give the path"):
        capture(path)
    with pytest.raises(CheckpointError, match="it is a folder: give the path"):
        capture(tmp_path)
    for content in (b"", whole[: len(whole) // 2], whole[:-3], b"torch", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"some.onnx: it is no ONNX file, or damaged .*: export it again"):
            capture(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda s, x: s.node("Erf", x),
            r"net.onnx: edgekit does not know the operator Erf \(node 'net.Erf.*train with SiLU",
        ),
        (
            lambda s, x: s.node("Resize", x, "", s.constant([1.0, 1.0, 2.5, 2.0])),
            r"net.Resize_1' \(Resize\) resizes from 6 to 15 by nearest neighbours",
        ),
        (
            lambda s, x: s.node("Resize", x, "", s.constant([1.0, 1.0, 4.0, 4.0]), nearest_mode="ceil"),
            r"taking the pixels 0, 0, 1, 1, 1, 1, 2, .*takes each 4 times in a row.*nearest_mode 'floor'",
        ),
        (lambda s, x: s.node("Resize", x, "", s.constant([1.0, 1.0, 2.0, 2.0]), mode="cubic"), r"resizes by cubic"),
        (
            lambda s, x: s.node("Resize", x, "", s.constant([1.0, 1.0, 1.4, 2.0]), mode="linear"),
            r"interpolates from \(6, 6\) to \(8, 12\) at other places",
        ),
        (lambda s, x: s.node("Mul", x, s.node("ReduceMean", x)), r"reduces a tensor laid out as NCHW along"),
        (
            lambda s, x: s.conv(s.node("Pad", x, s.constant([0, 1, 1, 0] * 2), mode="edge"), (6, 4)),
            r"in mode 'edge'",
        ),
        (lambda s, x: s.node("Max", x, s.conv(x, (4, 4))), r"b \+ torch.relu\(a - b\) is the larger one"),
        (lambda s, x: s.node("Div", s.constant(1.0), x), r"divides by what depends on the image"),
        (
            lambda s, x: s.node("Add", s.node("GlobalAveragePool", x), s.array(6, 6)),
            r"an operand of the shape \(6, 6\) beside a tensor of the shape \(1, 4, 1, 1\)",
        ),
        (lambda s, x: s.node("Max", x, s.array(4, 1, 1)), r"a bound for each channel"),
        (lambda s, x: s.node("Mul", x, s.node("Conv", x, s.node("GlobalAveragePool", x))), r"operand 1 from the image"),
        (
            lambda s, x: s.node(
                "Transpose", s.conv(s.node("Transpose", x, perm=[2, 1, 0, 3]), (4, 4)), perm=[2, 1, 0, 3]
            ),
            r"laid out as HCNW and not as NCHW",
        ),
        (
            lambda s, x: s.node("Mul", x, s.node("Transpose", x, perm=[0, 1, 3, 2])),
            r"operands laid out as NCHW and NCWH",
        ),
        (lambda s, x: s.node("Max", x, s.constant(0.0), s.constant(1.0)), r"has 3 operands"),
        (
            lambda s, x: s.node(
                "Reshape", s.node("Relu", s.node("Reshape", x, s.constant([2, 2, 6, 6]))), s.constant([1, 4, 6, 6])
            ),
            r"\(1, 4, 6, 6\).* to \(2, 2, 6",
        ),
        (lambda s, x: s.node("Cast", s.node("Cast", x, to=6), to=1), r"casts to integers"),
        (
            lambda s, x: s.node("Dropout", x, s.constant(0.5), s.constant(np.array(True))),
            r"is in training mode|changes what it computes",
        ),
        (lambda s, x: s.node("Mul", x, s.constant(np.inf)), r"holds NaN or infinity"),
    ],
)
def test_operators_that_are_refused(write: Any, message: str, sketch: OnnxSketch) -> None:
    path = sketch.save(sketch.head(write(sketch, _stem(sketch))), 14)
    with pytest.raises((UnsupportedOperator, CheckpointError), match=message):
        capture(path)


def test_vectors_are_no_images(sketch: OnnxSketch) -> None:
    path = sketch.save(sketch.gemm("image", (4, 3)), 13, (1, 4))
    with pytest.raises(CheckpointError, match=r"'image' has the shape \[1, 4\], and edgekit wants images"):
        capture(path)


def test_a_second_input_is_refused(sketch: OnnxSketch) -> None:
    model = sketch.model(sketch.head(sketch.node("Mul", _stem(sketch), "other")), 13)
    model.graph.input.append(onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, (1,)))
    path = sketch.folder / "two.onnx"
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=r"it has 2 inputs \(image, other\).*extract_model"):
        capture(path)


def test_an_output_that_ignores_the_image(sketch: OnnxSketch) -> None:
    sketch.head(_stem(sketch))
    path = sketch.save(sketch.node("Relu", sketch.array(1, 3)))
    with pytest.raises(
        CheckpointError, match="does not depend on its input, and is always the same: leave it out, and"
    ):
        capture(path)


def test_an_output_beside_others_that_ignores_the_image_is_left_out_by_a_command(sketch: OnnxSketch) -> None:
    logits, constant = sketch.head(_stem(sketch)), sketch.node("Relu", sketch.array(1, 3))
    model, path = sketch.model(logits, 13), sketch.folder / "two.onnx"
    model.graph.output.append(onnx.helper.make_tensor_value_info(constant, onnx.TensorProto.FLOAT, (1, 3)))
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=r"does not depend on its input.*extract_model") as refused:
        capture(path)
    exec(str(refused.value).split('python -c "')[1].removesuffix('"'), {})
    assert capture(path.with_suffix(".cut.onnx")).graph.logits is not None


def test_axes_that_files_leave_out_are_said(sketch: OnnxSketch) -> None:
    model = sketch.model(sketch.node("GlobalAveragePool", sketch.conv("image", (3, 5), 3)), 13)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, (None,) * 4))
    path = sketch.folder / "map.onnx"
    onnx.save(model, path)
    captured = capture(path)
    assert captured.notes == ("the network gives [N, 5, 1, 1], and files give the same numbers as [N, 5]",)
    assert captured.graph.logits is not None


def test_quantized_files_are_refused(sketch: OnnxSketch) -> None:
    x, scale, zero = _stem(sketch), sketch.constant(0.1), sketch.constant(np.array(0, np.uint8))
    quantized = sketch.node("QuantizeLinear", x, scale, zero)
    path = sketch.save(sketch.head(sketch.node("DequantizeLinear", quantized, scale, zero)), 13)
    with pytest.raises(
        CheckpointError, match=r"quantized already \(QuantizeLinear '/net/QuantizeLinear_1'\).*float file"
    ):
        capture(path)


def test_operators_of_a_runtime_are_refused(sketch: OnnxSketch) -> None:
    model = sketch.model(sketch.head(sketch.node("Gelu", _stem(sketch), domain="com.microsoft")), 17)
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    path = sketch.folder / "optimized.onnx"
    onnx.save(model, path)
    with pytest.raises(UnsupportedOperator, match=r"com.microsoft::Gelu.*before a runtime optimized it"):
        capture(path)


def test_a_failed_check_of_onnxsim_is_an_error(sketch: OnnxSketch, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxsim

    simplify = onnxsim.simplify
    path = sketch.save(sketch.head(_stem(sketch)))
    monkeypatch.setattr(onnxsim, "simplify", lambda *given, **settings: (simplify(*given, **settings)[0], False))
    with pytest.raises(CheckpointError, match="onnxsim changes what it computes"):
        capture(path)


def test_without_onnxsim_there_is_a_remedy(sketch: OnnxSketch, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sketch.save(sketch.head(_stem(sketch)))
    monkeypatch.setitem(sys.modules, "onnxsim", None)
    with pytest.raises(MissingDependency, match=r"onnxsim is not installed: pip install 'edgekit\[onnx\]'"):
        capture(path)
