"""float32 and float16 .tflite files in LiteRT, against torch."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.metadata import Precision
from edgekit.exporters.tflite.codec import read, write_float_model
from edgekit.ir import Clamp, Graph, Node, Output, Tensor
from edgekit.reference.float import FloatReference
from tests.exporters.conftest import turns_maps
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel

    Case = tuple[FloatModel, NDArray[np.float32], NDArray[np.float32]]


def test_float32_is_what_torch_computes(float_case: Case, litert: Callable[[Path], Any], tmp_path: Path) -> None:
    model, images, expected = float_case
    write_float_model(model, tmp_path / "m.tflite")
    np.testing.assert_allclose(litert(tmp_path / "m.tflite").run(images)[0], expected, rtol=1e-5, atol=1e-5)
    summary = read(tmp_path / "m.tflite")
    assert summary.int8_share == 0.0
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(summary.operators)
    assert "TRANSPOSE" not in summary.operators or turns_maps(model.graph)


def test_float16_is_near_what_torch_computes(float_case: Case, litert: Callable[[Path], Any], tmp_path: Path) -> None:
    model, images, expected = float_case
    write_float_model(model, tmp_path / "m.tflite", precision=Precision.FLOAT16)
    # A half has 11 significant bits: each weight is off by at most 2**-12 of itself.
    tolerance = 2**-10 * float(np.abs(expected).max())
    np.testing.assert_allclose(litert(tmp_path / "m.tflite").run(images)[0], expected, atol=tolerance, rtol=0)


def test_float16_weights_take_half_the_space(tmp_path: Path) -> None:
    s = FloatSketch((1280,))
    s.linear("x", 10)
    for precision in Precision.FLOAT32, Precision.FLOAT16:
        write_float_model(s.float_model(), tmp_path / precision, precision=precision)
    whole, half = read(tmp_path / Precision.FLOAT32), read(tmp_path / Precision.FLOAT16)
    assert whole.size_bytes - half.size_bytes == pytest.approx(1280 * 10 * 2, rel=0.05)
    assert whole.operators == half.operators == {"FULLY_CONNECTED": 1}
    assert half.boundary == ()
    assert {end.dtype for end in (*half.inputs, *half.outputs)} == {"float32"}


@pytest.mark.parametrize(
    ("clamp", "operators"),
    [
        (Clamp(0.0), {"CONV_2D": 1}),
        (Clamp(0.0, 6.0), {"CONV_2D": 1}),
        (Clamp(0.0, 0.2), {"CONV_2D": 1, "MINIMUM": 1}),
        (Clamp(-0.3), {"CONV_2D": 1, "MAXIMUM": 1}),
        (Clamp(-0.3, 0.2), {"CONV_2D": 1, "MAXIMUM": 1, "MINIMUM": 1}),
    ],
    ids=str,
)
def test_clamps_are_fused_as_far_as_tflite_can(
    clamp: Clamp, operators: dict[str, int], litert: Callable[[Path], Any], tmp_path: Path
) -> None:
    s = FloatSketch((8, 9, 11))
    s.conv("x", 12, clamp=clamp)
    model, images = s.float_model(), s.images(3)
    write_float_model(model, tmp_path / "m.tflite")
    expected = FloatReference(model.graph).run(images)["logits"]
    assert {clamp.low, clamp.high} - {math.inf, 6.0} <= {float(expected.min()), float(expected.max())}
    np.testing.assert_allclose(litert(tmp_path / "m.tflite").run(images)[0], expected, rtol=1e-5, atol=1e-5)
    assert read(tmp_path / "m.tflite").operators == operators


def test_what_tflite_cannot_express_is_refused(float_model: FloatModel, tmp_path: Path) -> None:
    tensors = {name: Tensor(name, (4, 5, 5)) for name in ("x", "y")}
    alone = Node("layer", Clamp(0.0), ("x",), "y")
    graph = Graph("tiny", "x", (Output.logits("y"),), (alone,), tensors, {})
    with pytest.raises(UnsupportedOperator, match=r"TFLite has no Clamp \(layer 'layer'\)"):
        write_float_model(replace(float_model, graph=graph), tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()
