"""The TensorFlow Lite converter: full int8, float32 boundary, weights with a scale an output channel (its default).

The network reaches it as a TensorFlow function, built here from the float32 .onnx file, in NHWC, with one function for
each of its few kinds of nodes. This keeps third-party converters, with faults of their own, out of the comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("tensorflow-cpu", "onnx")


def quantize(job: dict[str, Any]) -> Path:
    """No options."""
    out = Path(f"{job['out']}.tflite")
    network = onnx.load(job["onnx"]).graph
    images = np.load(job["calibration"], mmap_mode="r")

    def samples() -> Iterator[list[Any]]:
        for image in images:
            yield [np.ascontiguousarray(image.transpose(1, 2, 0))[None]]

    module = tf.Module()
    module.call = tf.function(lambda image: _run(network, image))
    _, channels, height, width = images.shape
    function = module.call.get_concrete_function(tf.TensorSpec([1, height, width, channels], tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    out.write_bytes(converter.convert())
    return out


def _run(network: onnx.GraphProto, image: Any) -> Any:  # noqa: ANN401 - tensors
    """The network's first output; tensors of four axes are NHWC here."""
    values = {entry.name: numpy_helper.to_array(entry) for entry in network.initializer}
    values[network.input[0].name] = image
    for node in network.node:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        inputs = [values[name] for name in node.input]
        values[node.output[0]] = _NODES[node.op_type](inputs, attributes)
    return values[network.output[0].name]


def _conv(inputs: list[Any], attributes: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors
    x, weight, bias = inputs  # weight: [O, I / groups, H, W]
    strides, (top, left, bottom, right) = attributes["strides"], attributes.get("pads", [0, 0, 0, 0])
    padding = "VALID"
    if (top, left, bottom, right) == _same(x.shape[1:3], weight.shape[2:], strides):
        padding = "SAME"
    elif top or left or bottom or right:
        x = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
    if attributes.get("group", 1) == 1:
        y = tf.nn.conv2d(x, weight.transpose(2, 3, 1, 0), strides, padding)
    else:
        y = tf.nn.depthwise_conv2d(x, weight.transpose(2, 3, 0, 1), [1, *strides, 1], padding)
    return tf.nn.bias_add(y, bias)


def _same(size: Any, kernel: Any, strides: Any) -> tuple[int, int, int, int]:  # noqa: ANN401 - sequences
    """What TensorFlow's SAME adds: top, left, bottom, right."""
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, strides, strict=True)]
    return total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2


def _clip(inputs: list[Any], _: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors
    x, low, high = inputs
    assert (float(low), float(high)) == (0.0, 6.0), "MobileNets have no other clamp"
    return tf.nn.relu6(x)


def _hard_sigmoid(inputs: list[Any], _: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors
    return tf.nn.relu6(inputs[0] + 3.0) * (1 / 6)


def _gemm(inputs: list[Any], attributes: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors
    x, weight, bias = inputs
    return tf.matmul(x, weight, transpose_b=bool(attributes.get("transB", 0))) + bias


# Hard-swish is written as Keras writes it, which the converter recognises.
_NODES: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Clip": _clip,
    "Conv": _conv,
    "Flatten": lambda inputs, _: tf.reshape(inputs[0], [1, -1]),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda inputs, _: tf.reduce_mean(inputs[0], [1, 2], keepdims=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda inputs, _: inputs[0] * tf.nn.relu6(inputs[0] + 3.0) * (1 / 6),
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Relu": lambda inputs, _: tf.nn.relu(inputs[0]),
}
