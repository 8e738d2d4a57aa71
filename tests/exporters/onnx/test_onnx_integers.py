"""Every integer that ONNX Runtime computes from an .onnx file, against the reference."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.onnx.codec import read, write_integer_model
from edgekit.reference.integer import Reference
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel

    Case = tuple[IntegerModel, NDArray[np.int8], NDArray[np.int8]]
    Run = Callable[..., list[NDArray[Any]]]


FARTHEST = ("DISABLE_ALL", "ENABLE_ALL")  # of the levels: as the file stands, and all that is ever made of it


def test_every_value_is_the_references(integer_case: Case, level: str, onnx_runtime: Run, tmp_path: Path) -> None:
    """At DISABLE_ALL the file is run as it stands, in floats; above, in integer kernels."""
    model, stored, expected = integer_case
    path = tmp_path / "m.onnx"
    write_integer_model(model, path, io_dtype=IoDtype.INT8)
    np.testing.assert_array_equal(onnx_runtime(path, stored, level)[0], expected)
    assert read(path).int8_share == 1.0


@pytest.mark.parametrize("level", FARTHEST, indirect=True)
def test_layers_in_float_change_nothing_around_them(
    mixed_case: Case, level: str, assert_near: Callable[..., None], onnx_runtime: Run, tmp_path: Path
) -> None:
    model, stored, expected = mixed_case
    write_integer_model(model, tmp_path / "m.onnx")
    (found,) = onnx_runtime(tmp_path / "m.onnx", model.params["x"].dequantize(stored), level)
    output = model.graph.output_tensors[0]
    assert_near(model, model.params[output].quantize(found) if output in model.params else found, expected)


@pytest.mark.parametrize("level", FARTHEST, indirect=True)
def test_layers_with_16_bits(
    int16_case: Case, level: str, assert_near: Callable[..., None], onnx_runtime: Run, tmp_path: Path
) -> None:
    model, stored, expected = int16_case
    write_integer_model(model, tmp_path / "m.onnx")
    (found,) = onnx_runtime(tmp_path / "m.onnx", model.params["x"].dequantize(stored), level)
    output = model.graph.output_tensors[0]
    assert_near(model, model.params[output].quantize(found) if output in model.params else found, expected)
    assert read(tmp_path / "m.onnx").version == "opset 21, IR 10"
    with pytest.raises(ConfigError, match=r"ONNX Runtime 1\.17 has no 16-bit activations, 1\.18 is the oldest"):
        write_integer_model(model, tmp_path / "m.onnx", runtime="1.17")


def test_integers_before_a_float_layer_are_the_references(level: str, onnx_runtime: Run, tmp_path: Path) -> None:
    s = FloatSketch((8, 9, 11))
    before = s.conv(s.conv("x", 12), 12)
    s.outputs = (before, s.conv(s.conv(before, 12, 3), 8))
    model = s.integer_model(["layer.2"])
    stored = np.random.default_rng(0).integers(-128, 128, (3, 8, 9, 11)).astype(np.int8)
    write_integer_model(model, tmp_path / "m.onnx", io_dtype=IoDtype.INT8)
    found, behind = onnx_runtime(tmp_path / "m.onnx", stored, level)
    expected = Reference(model).run_all(stored)
    np.testing.assert_array_equal(found, expected[before])
    assert np.abs(behind.astype(int) - expected[s.outputs[1]]).max() <= 1


def test_a_layer_in_float_is_not_quantized_behind_our_back(
    mixed_block: IntegerModel, onnx_runtime: Run, tmp_path: Path
) -> None:
    """ONNX Runtime does so with a convolution between DequantizeLinear and QuantizeLinear."""
    write_integer_model(mixed_block, tmp_path / "m.onnx")
    image = np.zeros((1, 3, 32, 32), np.float32)
    onnx_runtime(tmp_path / "m.onnx", image, "ENABLE_EXTENDED", optimized=tmp_path / "optimized.onnx")
    run = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    kept = Counter(type(node.op).__name__ for node in mixed_block.float_nodes)
    assert run["Conv"] + run["FusedConv"] == kept["Conv2d"]
    layers = Counter(type(node.op).__name__ for node in mixed_block.graph)
    assert run["QLinearConv"] == layers["Conv2d"] - kept["Conv2d"]


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_every_boundary_carries_the_same_integers(
    io_dtype: IoDtype, integer_block: Case, level: str, onnx_runtime: Run, tmp_path: Path
) -> None:
    model, stored, expected = integer_block
    path = tmp_path / "m.onnx"
    write_integer_model(model, path, io_dtype=io_dtype)
    image, logits = model.params[model.graph.input], model.params[model.graph.output_tensors[0]]
    match io_dtype:
        case IoDtype.INT8:
            found = onnx_runtime(path, stored, level)[0]
        case IoDtype.UINT8:
            found = (onnx_runtime(path, unsigned(stored), level)[0].astype(np.int16) - 128).astype(np.int8)
        case IoDtype.FLOAT32:
            reals = onnx_runtime(path, image.dequantize(stored), level)[0]
            found = logits.quantize(reals)
            np.testing.assert_array_equal(reals, logits.dequantize(expected))
    np.testing.assert_array_equal(found, expected)


def test_every_operator_becomes_an_integer_kernel(integer_block: Case, onnx_runtime: Run, tmp_path: Path) -> None:
    model, stored, _ = integer_block
    write_integer_model(model, tmp_path / "m.onnx", io_dtype=IoDtype.UINT8)
    onnx_runtime(tmp_path / "m.onnx", unsigned(stored), "ENABLE_EXTENDED", optimized=tmp_path / "optimized.onnx")
    written = Counter(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
    run = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    kernels = {
        "Conv": "QLinearConv", "Gemm": "QGemm", "Add": "QLinearAdd", "Mul": "QLinearMul",
        "GlobalAveragePool": "QLinearGlobalAveragePool", "Flatten": "Flatten", "Gather": "Gather",
    }  # fmt: skip
    assert run == Counter({kernel: written[name] for name, kernel in kernels.items() if written[name]})


def test_outputs_beyond_the_first(onnx_runtime: Run, tmp_path: Path) -> None:
    """The second one is read by other layers, too."""
    s = FloatSketch((8, 7, 7))
    features = s.conv("x", 12)
    s.outputs = (s.linear(s.mean(features, keep_dims=False), 10), features)
    model = s.integer_model()
    stored = np.random.default_rng(0).integers(-128, 128, (3, 8, 7, 7)).astype(np.int8)
    expected = Reference(model).run_all(stored)
    for io_dtype, image in (IoDtype.INT8, stored), (IoDtype.UINT8, unsigned(stored)):
        write_integer_model(model, tmp_path / "m.onnx", io_dtype=io_dtype)
        assert [end.name for end in read(tmp_path / "m.onnx").outputs] == ["logits", "output_1"]
        for found, name in zip(onnx_runtime(tmp_path / "m.onnx", image, "DISABLE_ALL"), s.outputs, strict=True):
            wanted = expected[name] if io_dtype is IoDtype.INT8 else unsigned(expected[name])
            np.testing.assert_array_equal(found, wanted)


def unsigned(stored: NDArray[np.int8]) -> NDArray[np.uint8]:
    return (stored.astype(np.int16) + 128).astype(np.uint8)
