"""float32 and float16 .onnx files in ONNX Runtime, against torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from edgekit.errors import GateFailed, UnsupportedOperator
from edgekit.exporters.metadata import Precision
from edgekit.exporters.onnx.codec import read, write_float_model
from edgekit.ir import Clamp
from tests.exporters.conftest import turns_maps
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel

    Case = tuple[FloatModel, NDArray[np.float32], NDArray[np.float32]]
    Run = Callable[..., list[NDArray[Any]]]


def test_float32_is_what_torch_computes(float_case: Case, onnx_runtime: Run, tmp_path: Path) -> None:
    model, images, expected = float_case
    write_float_model(model, tmp_path / "m.onnx")
    np.testing.assert_allclose(onnx_runtime(tmp_path / "m.onnx", images)[0], expected, rtol=1e-5, atol=1e-5)
    summary = read(tmp_path / "m.onnx")
    assert summary.int8_share == 0.0
    assert not {"Identity", "Cast"} & set(summary.operators)
    assert "Transpose" not in summary.operators or turns_maps(model.graph)


def test_float16_is_near_what_torch_computes(float_case: Case, onnx_runtime: Run, tmp_path: Path) -> None:
    model, images, expected = float_case
    write_float_model(model, tmp_path / "m.onnx", precision=Precision.FLOAT16)
    # A half has 11 significant bits, and every activation is rounded to one.
    tolerance = 2**-8 * float(np.abs(expected).max())
    np.testing.assert_allclose(onnx_runtime(tmp_path / "m.onnx", images)[0], expected, atol=tolerance, rtol=0)


def test_float16_keeps_a_float32_boundary(float_model: FloatModel, tmp_path: Path) -> None:
    write_float_model(float_model, tmp_path / "m.onnx", precision=Precision.FLOAT16)
    summary = read(tmp_path / "m.onnx")
    assert {end.dtype for end in (*summary.inputs, *summary.outputs)} == {"float32"}
    assert summary.operators["Cast"] == 2
    model = onnx.load(tmp_path / "m.onnx")
    assert {tensor.data_type for tensor in model.graph.initializer} <= {
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.INT64,
    }


def test_any_clamp_can_be_fused(onnx_runtime: Run, tmp_path: Path) -> None:
    for clamp in Clamp(0.0), Clamp(0.0, 6.0), Clamp(-0.25, 0.5), Clamp(-0.125):
        s = FloatSketch((8, 9, 11))
        s.conv("x", 12, clamp=clamp)
        write_float_model(s.float_model(), tmp_path / "m.onnx")
        (found,) = onnx_runtime(tmp_path / "m.onnx", s.images())
        assert found.min() == clamp.low
        assert found.max() == clamp.high or clamp.high > 1


def test_onnxsim_keeps_quiet_and_its_verdict_counts(
    float_model: FloatModel, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_float_model(float_model, tmp_path / "m.onnx")
    assert capfd.readouterr().out == ""
    import onnxsim

    monkeypatch.setattr(onnxsim, "simplify", lambda model, **_: (model, False))
    with pytest.raises(GateFailed, match="computes something else"):
        write_float_model(float_model, tmp_path / "refused.onnx")
    assert not (tmp_path / "refused.onnx").exists()


def test_an_operator_that_onnx_lacks_is_refused(float_model: FloatModel, tmp_path: Path) -> None:
    first, *others = float_model.graph
    graph = replace(float_model.graph, nodes=(replace(first, op=Clamp(0.0), inputs=first.inputs[:1]), *others))
    with pytest.raises(UnsupportedOperator, match=r"ONNX has no Clamp \(layer 'layer.0'\)"):
        write_float_model(replace(float_model, graph=graph), tmp_path / "m.onnx")
