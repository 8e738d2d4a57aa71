"""Every integer that LiteRT computes from a .tflite file, against the reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.tflite.codec import read, write_integer_model
from edgekit.ir import Clamp
from edgekit.reference.integer import Reference
from tests.exporters.conftest import turns_maps
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel

    Case = tuple[IntegerModel, NDArray[np.int8], NDArray[np.int8]]


RELU6 = Clamp(0.0, 6.0)


def test_every_value_is_the_references(integer_case: Case, litert: Callable[[Path], Any], tmp_path: Path) -> None:
    model, stored, expected = integer_case
    write_integer_model(model, tmp_path / "m.tflite", io_dtype=IoDtype.INT8)
    runtime = litert(tmp_path / "m.tflite")
    np.testing.assert_array_equal(runtime.run(stored)[0], expected)
    assert runtime.nodes() == {"DELEGATE": 1}
    summary = read(tmp_path / "m.tflite")
    assert summary.int8_share == 1.0
    assert "TRANSPOSE" not in summary.operators or turns_maps(model.graph)


def test_layers_in_float_change_nothing_around_them(
    mixed_case: Case, assert_near: Callable[..., None], litert: Callable[[Path], Any], tmp_path: Path
) -> None:
    """And the network stays in one piece."""
    model, stored, expected = mixed_case
    write_integer_model(model, tmp_path / "m.tflite")
    runtime = litert(tmp_path / "m.tflite")
    (found,), output = runtime.run(model.params["x"].dequantize(stored)), model.graph.output_tensors[0]
    assert_near(model, model.params[output].quantize(found) if output in model.params else found, expected)
    assert runtime.nodes() == {"DELEGATE": 1}


def test_layers_with_16_bits(
    int16_case: Case, assert_near: Callable[..., None], litert: Callable[[Path], Any], tmp_path: Path
) -> None:
    """In TFLite's own kernels: XNNPACK does not take them."""
    model, stored, expected = int16_case
    write_integer_model(model, tmp_path / "m.tflite")
    runtime = litert(tmp_path / "m.tflite")
    (found,), output = runtime.run(model.params["x"].dequantize(stored)), model.graph.output_tensors[0]
    assert_near(model, model.params[output].quantize(found) if output in model.params else found, expected)
    assert set(runtime.nodes()) > {"DELEGATE"}


def test_one_layer_of_each_kind_is_within_a_step_of_16_bits(litert: Callable[[Path], Any], tmp_path: Path) -> None:
    """The output is dequantized, so its steps can be counted."""
    builds: tuple[Callable[[Any], str], ...] = (
        lambda s: s.conv("x", 12, 3, clamp=RELU6),
        lambda s: s.conv("x", None, 3, clamp=Clamp(-0.3, 0.2)),
        lambda s: s.add("x", "x"),
        lambda s: s.add_constant("x", 3.0, RELU6),
        lambda s: s.mul("x", "x"),
        lambda s: s.mean("x", keep_dims=False),
    )
    for build in builds:
        s = FloatSketch((8, 9, 11), seed=1)
        build(s)
        model = s.integer_model(int16=[s.nodes[0].name])
        write_integer_model(model, tmp_path / "m.tflite")
        stored = np.random.default_rng(0).integers(-128, 128, (3, 8, 9, 11)).astype(np.int8)
        (found,) = litert(tmp_path / "m.tflite").run(model.params["x"].dequantize(stored))
        step = model.params[s.nodes[0].output].scale[0]
        assert np.abs(found - Reference(model).run(stored)["logits"]).max() <= 1.01 * step


def test_integers_before_a_float_layer_are_the_references(litert: Callable[[Path], Any], tmp_path: Path) -> None:
    s = FloatSketch((8, 9, 11))
    before = s.conv(s.conv("x", 12), 12)
    s.outputs = (before, s.conv(s.conv(before, 12, 3), 8))
    model = s.integer_model(["layer.2"])
    stored = np.random.default_rng(0).integers(-128, 128, (3, 8, 9, 11)).astype(np.int8)
    write_integer_model(model, tmp_path / "m.tflite", io_dtype=IoDtype.INT8)
    found, behind = litert(tmp_path / "m.tflite").run(stored)
    expected = Reference(model).run_all(stored)
    np.testing.assert_array_equal(found, expected[before])
    assert np.abs(behind.astype(int) - expected[s.outputs[1]]).max() <= 1


@pytest.mark.parametrize(("io_dtype", "outside"), [(IoDtype.INT8, 0), (IoDtype.FLOAT32, 0), (IoDtype.UINT8, 2)])
def test_every_boundary_carries_the_same_integers(
    io_dtype: IoDtype, outside: int, integer_block: Case, litert: Callable[[Path], Any], tmp_path: Path
) -> None:
    """XNNPACK takes the whole network in one piece, but leaves conversions between int8 and uint8 to TFLite."""
    model, stored, expected = integer_block
    write_integer_model(model, tmp_path / "m.tflite", io_dtype=io_dtype)
    runtime = litert(tmp_path / "m.tflite")
    image, logits = model.params[model.graph.input], model.params[model.graph.output_tensors[0]]
    match io_dtype:
        case IoDtype.INT8:
            found = runtime.run(stored)[0]
        case IoDtype.UINT8:
            found = (runtime.run((stored.astype(np.int16) + 128).astype(np.uint8))[0].astype(np.int16) - 128).astype(
                np.int8
            )
        case IoDtype.FLOAT32:
            reals = runtime.run(image.dequantize(stored))[0]
            found = logits.quantize(reals)
            np.testing.assert_array_equal(reals, logits.dequantize(expected))
    np.testing.assert_array_equal(found, expected)
    assert runtime.nodes() == Counter(DELEGATE=1, QUANTIZE=outside)


def test_outputs_beyond_the_first(litert: Callable[[Path], Any], tmp_path: Path) -> None:
    s = FloatSketch((8, 7, 7))
    features = s.conv("x", 12)
    s.outputs = (s.linear(s.mean(features, keep_dims=False), 10), features)
    model = s.integer_model()
    stored = np.random.default_rng(0).integers(-128, 128, (3, 8, 7, 7)).astype(np.int8)
    expected = Reference(model).run_all(stored)
    for io_dtype in IoDtype:
        write_integer_model(model, tmp_path / "m.tflite", io_dtype=io_dtype)
        assert [end.name for end in read(tmp_path / "m.tflite").outputs] == ["logits", "output_1"]
        if io_dtype is IoDtype.INT8:
            for found, name in zip(litert(tmp_path / "m.tflite").run(stored), s.outputs, strict=True):
                np.testing.assert_array_equal(found, expected[name])


def test_a_product_that_is_scaled_up_has_its_own_version(tmp_path: Path) -> None:
    s = FloatSketch((8, 9, 11))
    product = s.mul("x", s.conv("x", 8))
    model = s.integer_model()
    write_integer_model(model, tmp_path / "m.tflite", io_dtype=IoDtype.INT8)
    assert versions(tmp_path / "m.tflite")["MUL"] == 2
    tiny = replace(model.params[product], scale=model.params[product].scale * np.float32(1e-3))
    write_integer_model(
        replace(model, params={**model.params, product: tiny}), tmp_path / "m.tflite", io_dtype=IoDtype.INT8
    )
    assert versions(tmp_path / "m.tflite")["MUL"] == 3


def test_versions_are_those_that_old_runtimes_have(integer_block: Case, tmp_path: Path) -> None:
    model, _, _ = integer_block
    write_integer_model(model, tmp_path / "m.tflite")
    found = versions(tmp_path / "m.tflite")
    newest = {
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "ADD": 2,
        "MUL": 2,
        "MEAN": 2,
        "PAD": 2,
        "QUANTIZE": 1,
        "DEQUANTIZE": 2,
    }
    assert found.items() <= {**newest, "RESHAPE": 1}.items()


def versions(path: Path) -> dict[str, int]:
    from edgekit.exporters.tflite import schema as tflite_schema

    schema = tflite_schema.load()
    names = tflite_schema.names(schema.BuiltinOperator)
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    return {names[code.builtinCode]: code.version for code in model.operatorCodes}
