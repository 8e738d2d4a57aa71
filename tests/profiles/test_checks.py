"""Every rule of every device, with a file that breaks it and files that keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Head, Precision
from edgekit.profiles.checks import Finding, findings
from edgekit.profiles.profile import names, profile

Files = Any  # of conftest.py
Break = Callable[[Files], Path]
WEIGHT = np.ones((8, 8, 1, 1), np.int8)
IMAGE = (1, 4, 4, 8)
ZEROS = np.zeros(IMAGE, np.int8)


def of(path: Path, device: str) -> tuple[Finding, ...]:
    form = format_of(path)
    return findings(profile(device), form.name, form.contents(path))


def relabelled(kind: str) -> Callable[[Any, Any], None]:
    def change(_: Any, operation: Any) -> None:
        operation.type = kind

    return change


def reshaped(*axes: int) -> Callable[[Any, Any], None]:
    def change(_: Any, operation: Any) -> None:
        operation.type = "reshape"
        made = operation.outputs[0].type.tensorType
        made.rank = len(axes)
        del made.dimensions[:]
        for size in axes:
            made.dimensions.add().constant.size = size

    return change


def padded(*widths: int) -> Callable[[Any, Any], None]:
    def change(function: Any, operation: Any) -> None:
        operation.type = "pad"
        named = operation.inputs["pad"].arguments[0].name
        (block,) = function.block_specializations.values()
        value = next(o for o in block.operations if o.outputs[0].name == named).attributes["val"]
        value.type.tensorType.dimensions[0].constant.size = len(widths)
        value.immediateValue.tensor.ints.values[:] = widths

    return change


def sliced(*strides: int, **masks: int) -> dict[str, Any]:
    constants = tuple(np.array(values, np.int32) for values in ((0, 0, 0, 0), (1, 4, 4, 8), strides))
    return {"constants": constants, "options": ("StridedSliceOptions", masks)}


def freed(function: Any, _: Any) -> None:
    function.inputs[0].type.tensorType.dimensions[2].unknown.SetInParent()


def pooled(activation: int) -> dict[str, Any]:
    options = {"filterHeight": 4, "filterWidth": 4, "strideH": 1, "strideW": 1, "fusedActivationFunction": activation}
    return {"result": (1, 1, 1, 8), "options": ("Pool2DOptions", options)}


def mean(*axes: int, shape: tuple[int, ...] = IMAGE) -> Break:
    return lambda f: f.tflite("MEAN", shape=shape, constants=(np.array(axes, np.int32),), result=(1, 1, 1, 1))


def connected(rows: int = 1, weights_format: int = 0) -> Break:
    return lambda f: f.tflite(
        "FULLY_CONNECTED",
        shape=(rows, 8),
        constants=(np.ones((4, 8), np.int8),),
        result=(rows, 4),
        options=("FullyConnectedOptions", {"weightsFormat": weights_format}),
    )


# Device and rule: files that break it, each with what is said of it.
BREAK: dict[tuple[str, str], tuple[tuple[Break, str], ...]] = {
    ("raspberrypi4", "hard-swish"): ((lambda f: f.tflite("HARD_SWISH"), "HARD_SWISH"),),
    ("raspberrypi4", "static shapes"): ((lambda f: f.tflite("RELU", signature=(-1, 4, 4, 8)), "x has a free axis"),),
    ("x86", "saturation"): ((lambda f: f.exported("onnx"), "its weights reach 127"),),
    ("nvidia-gpu", "symmetric"): ((lambda f: f.exported("onnx"), "uint8 with the zero point"),),
    ("apple-neural-engine", "float16"): (
        (lambda f: f.mlpackage(precision=Precision.FLOAT32), "conv makes float32"),
        (lambda f: f.exported("coreml"), "dequantize makes float32"),
    ),
    ("apple-neural-engine", "static shapes"): ((lambda f: f.mlpackage(change=freed), "has a free axis"),),
    ("apple-neural-engine", "operators"): ((lambda f: f.mlpackage(change=relabelled("gru")), "gru"),),
    ("apple-neural-engine", "kernel"): ((lambda f: f.mlpackage(kernel=14), "its kernel is 14 wide"),),
    ("apple-neural-engine", "extent"): (
        (lambda f: f.mlpackage(kernel=1, shape=(3, 1, 16385)), "its result is (1, 3, 1, 16385)"),
        (lambda f: f.mlpackage(kernel=1, shape=(3, 16385, 1)), "its result is (1, 3, 16385, 1)"),
    ),
    ("apple-neural-engine", "axes"): (
        (lambda f: f.mlpackage(change=reshaped(1, 1, 1, 4, 18, 18)), "its result has 6 axes"),
    ),
    ("apple-neural-engine", "padding"): (
        (lambda f: f.mlpackage(change=padded(0, 3, 0, 0, 0, 0)), "it pads the channels by [0, 3]"),
    ),
    ("apple-neural-engine", "resize"): (
        (lambda f: f.mlpackage(change=relabelled("upsample_bilinear")), "upsample_bilinear"),
    ),
    ("edgetpu", "operators"): ((lambda f: f.tflite("HARD_SWISH"), "HARD_SWISH"),),
    ("edgetpu", "integers"): (
        (lambda f: f.tflite("RELU", dtype="FLOAT32"), "RELU makes float32"),
        (lambda f: f.tflite("ADD", dtype="INT16", made=1), "makes int16"),
    ),
    ("edgetpu", "boundary"): ((lambda f: f.exported("tflite"), "it takes float32"),),
    ("edgetpu", "static shapes"): ((lambda f: f.tflite("RELU", signature=(1, -1, 4, 8)), "[1, -1, 4, 8]"),),
    ("edgetpu", "constants"): ((lambda f: f.tflite("CONV_2D", made=2), "its weight is made by made0"),),
    ("edgetpu", "three dimensions"): ((lambda f: f.tflite("RELU", shape=(2, 4, 4, 8)), "its result is (2, 4, 4, 8)"),),
    ("edgetpu", "pooling"): (
        (lambda f: f.tflite("AVERAGE_POOL_2D", **pooled(1)), "AVERAGE_POOL_2D with RELU"),
        (lambda f: f.tflite("MAX_POOL_2D", **pooled(3)), "MAX_POOL_2D with RELU6"),
    ),
    ("edgetpu", "concatenation"): (
        (lambda f: f.tflite("CONCATENATION", constants=(np.ones(IMAGE, np.int8),)), "it joins 1 constant tensor"),
        (lambda f: f.tflite("CONCATENATION", constants=(ZEROS, ZEROS)), "it joins 2 constant tensors"),
    ),
    ("edgetpu", "slices"): (
        (lambda f: f.tflite("STRIDED_SLICE", **sliced(1, 2, 2, 1)), "its strides are [1, 2, 2, 1]"),
        (lambda f: f.tflite("STRIDED_SLICE", **sliced(1, 1, 1, 1, newAxisMask=2)), "its new axis mask is 2"),
    ),
    ("edgetpu", "mean"): (
        (mean(0), "it reduces the batch"),
        (mean(-4, 1), "it reduces the batch"),
        (mean(3, shape=(1, 4, 4, 6)), "it reduces 6 channels"),
        (mean(-1, shape=(1, 4, 4, 6)), "it reduces 6 channels"),
    ),
    ("edgetpu", "padding"): (
        (
            lambda f: f.tflite("PAD", constants=(np.array([[1, 0], [0, 0], [0, 0], [0, 0]], np.int32),)),
            "it pads the batch by [1, 0]",
        ),
    ),
    ("edgetpu", "dilation"): (
        (
            lambda f: f.tflite("CONV_2D", options=("Conv2DOptions", {"dilationHFactor": 2, "dilationWFactor": 1})),
            "its rows are dilated by 2, its columns by 1",
        ),
    ),
    ("edgetpu", "softmax"): (
        (lambda f: f.tflite("SOFTMAX", shape=(1, 16001)), "its result is (1, 16001)"),
        (lambda f: f.tflite("SOFTMAX"), "its result is (1, 4, 4, 8)"),
    ),
    ("edgetpu", "fully connected"): (
        (connected(rows=2), "its result is (2, 4)"),
        (connected(weights_format=1), "its weights are shuffled"),
    ),
    ("edgetpu", "versions"): ((lambda f: f.tflite("CONV_2D", version=6), "CONV_2D of version 6, 5 is the newest"),),
    ("hexagon-htp", "operators"): ((lambda f: f.onnx("Identity"), "Identity"),),
    ("hexagon-htp", "hard-swish"): ((lambda f: f.onnx("HardSwish"), "HardSwish"),),
    ("hexagon-htp", "static shapes"): (
        (lambda f: f.onnx("Relu", free=True), "x has a free axis: [batch, 8, 4, 4]"),
        (lambda f: f.exported("onnx"), "image has a free axis: [batch, 3, 32, 32]"),
    ),
    ("hexagon-htp", "quantized"): ((lambda f: f.onnx("Conv", weight=WEIGHT.astype(np.float32)), "Conv in float"),),
    ("hexagon-htp", "activations"): ((lambda f: f.onnx("Relu", stored=np.int8), "it is stored as int8"),),
    ("hexagon-htp", "axes"): (
        (lambda f: f.onnx("Transpose", attributes={"perm": [0, 1, 4, 2, 5, 3]}), "its result has 6 axes"),
        (lambda f: f.onnx("Reshape", operand=np.array([1, 2, 2, 2, 4, 4], np.int64)), "its result has 6 axes"),
    ),
    ("hexagon-htp", "pooling"): (
        (
            lambda f: f.onnx("MaxPool", attributes={"kernel_shape": [2, 2], "dilations": [2, 1]}),
            "its window is dilated by [2, 1]",
        ),
    ),
    ("hexagon-htp", "nearest"): (
        (
            lambda f: f.onnx("Resize", attributes={"coordinate_transformation_mode": "asymmetric"}),
            "round_prefer_floor of asymmetric coordinates",
        ),
    ),
    ("hexagon-htp", "weight axis"): (
        (lambda f: f.onnx("Conv", weight=WEIGHT, axis=1), "its weights are quantized along axis 1"),
        (lambda f: f.onnx("ConvTranspose", weight=WEIGHT, axis=0), "its weights are quantized along axis 0"),
    ),
}
LIKE = {"raspberrypi3": "raspberrypi4", "raspberrypi5": "raspberrypi4", "raspberrypizero2": "raspberrypi4"}
LIKE["android"] = "raspberrypi4"

# Files that keep every rule of the device, at the edge of what they allow.
KEEP: tuple[tuple[str, Break], ...] = (
    ("raspberrypi4", lambda f: f.exported("tflite", "int8")),
    ("raspberrypi4", lambda f: f.tflite("HARD_SWISH", dtype="FLOAT32")),
    ("x86", lambda f: f.exported("onnx", small=True)),
    ("x86", lambda f: f.onnx("Conv", weight=WEIGHT * 64)),
    ("apple-neural-engine", lambda f: f.exported("coreml", precision=Precision.FLOAT16)),
    ("apple-neural-engine", lambda f: f.mlpackage(kernel=13)),
    ("apple-neural-engine", lambda f: f.mlpackage(change=reshaped(1, 1, 4, 18, 18))),
    ("apple-neural-engine", lambda f: f.mlpackage(change=padded(0, 0, 1, 2, 0, 1))),
    ("apple-neural-engine", lambda f: f.mlpackage(kernel=1, shape=(3, 1, 16384))),
    ("edgetpu", lambda f: f.exported("tflite", "int8")),
    ("edgetpu", lambda f: f.exported("tflite", "uint8")),
    ("edgetpu", lambda f: f.tflite("AVERAGE_POOL_2D", **pooled(0))),
    ("edgetpu", lambda f: f.tflite("CONV_2D", version=5)),
    ("edgetpu", lambda f: f.tflite("CONCATENATION", made=2)),
    ("edgetpu", lambda f: f.tflite("CONCATENATION", constants=(ZEROS,))),
    ("edgetpu", lambda f: f.tflite("STRIDED_SLICE", **sliced(1, 1, 1, 1))),
    ("edgetpu", lambda f: f.tflite("SOFTMAX", shape=(1, 16000))),
    ("edgetpu", mean(1, 2)),
    ("edgetpu", mean(3)),
    ("edgetpu", connected()),
    ("hexagon-htp", lambda f: f.exported("onnx", "uint8", batch=1)),
    ("hexagon-htp", lambda f: f.onnx("Conv", weight=WEIGHT)),
    ("hexagon-htp", lambda f: f.onnx("ConvTranspose", weight=WEIGHT, axis=1)),
    ("hexagon-htp", lambda f: f.onnx("Transpose", attributes={"perm": [0, 1, 4, 2, 3]})),
    ("hexagon-htp", lambda f: f.onnx("Reshape", operand=np.array([1, 2, 4, 4, 4], np.int64))),
    ("hexagon-htp", lambda f: f.onnx("MaxPool", attributes={"kernel_shape": [2, 2]})),
    (
        "hexagon-htp",
        lambda f: f.onnx(
            "Resize", attributes={"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        ),
    ),
    ("hexagon-htp", lambda f: f.onnx("Resize", attributes={"mode": "linear"})),
)


@pytest.mark.parametrize("head", Head)
def test_what_a_float_boundary_computes_is_no_layer_in_float(files: Files, head: Head) -> None:
    """ADD before QUANTIZE, and SOFTMAX or LOGISTIC behind DEQUANTIZE, are slower; the network is integers."""
    path = files.exported("tflite", head=head)
    contents = format_of(path).contents(path)
    found = {operator.kind for operator in contents.operators if operator.name in contents.boundary}
    behind = {Head.LOGITS: set(), Head.SOFTMAX: {"SOFTMAX"}, Head.SIGMOID: {"LOGISTIC"}}
    assert found == {"ADD", "QUANTIZE", "DEQUANTIZE"} | behind[head]
    assert {finding.rule.name for finding in of(path, "edgetpu")} == {"boundary"}


def rules() -> list[tuple[str, str]]:
    return [(name, rule.name) for name in names() for rule in profile(name).rules]


def test_there_is_a_file_for_each_rule() -> None:
    assert {(LIKE.get(device, device), rule) for device, rule in rules()} == set(BREAK)


@pytest.mark.parametrize(("device", "rule"), rules())
def test_a_file_that_breaks_it_is_found(device: str, rule: str, files: Files) -> None:
    for make, said in BREAK[LIKE.get(device, device), rule]:
        found = [finding for finding in of(make(files), device) if finding.rule.name == rule]
        assert found, said
        assert said in found[0].text
        assert (found[0].operator is None) == (found[0].name is None) == (found[0].layer is None)


@pytest.mark.parametrize(("device", "make"), KEEP)
def test_a_file_that_keeps_all_of_them(device: str, make: Break, files: Files) -> None:
    assert of(make(files), device) == ()


@pytest.mark.parametrize(
    ("name", "device", "broken"),
    [
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", "edgetpu", set()),  # Coral's own, which its compiler takes whole
        ("mobilenet_v2_1.0_224_quant.tflite", "edgetpu", set()),  # likewise
        ("Mobilenet_v3_small_quant.tflite", "edgetpu", {"operators", "boundary", "static shapes"}),
    ],
)
def test_public_files(name: str, device: str, broken: set[str], realdata: Path) -> None:
    found = of(realdata / "models" / "peers" / name, device)
    assert {finding.rule.name for finding in found} == broken
    assert {finding.operator for finding in found if finding.rule.name == "operators"} <= {"HARD_SWISH"}


def test_layers_are_those_of_the_checkpoint(files: Files) -> None:
    path = files.exported("onnx")
    contents = format_of(path).contents(path)
    found = findings(profile("x86"), "onnx", contents)
    assert {finding.layer for finding in found} <= {node.name for node in files.integers.graph}
    unknown = replace(contents, operators=tuple(replace(o, origin=None) for o in contents.operators))
    assert {finding.layer for finding in findings(profile("x86"), "onnx", unknown)} >= {"classifier.3.real"}
