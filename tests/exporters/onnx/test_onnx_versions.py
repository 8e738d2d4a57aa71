"""Files for older versions of ONNX Runtime hold only what those read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.metadata import Precision
from edgekit.exporters.onnx.codec import read, write_float_model, write_integer_model
from edgekit.exporters.onnx.versions import OnnxVersion, for_runtime, newest_read_by, runtime_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

RUNTIMES = ["1.7.0", "1.8.1", "1.9", "1.10", "1.11.1", "1.12", "1.16.3", "1.31.1", None]


@pytest.mark.parametrize(("requirement", "version"), [
    ("1.7", OnnxVersion(13, 7)),
    ("onnxruntime==1.10.0", OnnxVersion(15, 8)),
    (" onnxruntime == 1.12 ", OnnxVersion(17, 8)),
    ("1.31.1", OnnxVersion(17, 8)),
    ("2.0", OnnxVersion(17, 8)),
    (None, OnnxVersion(17, 8)),
])  # fmt: skip
def test_a_runtime_has_an_opset(requirement: str | None, version: OnnxVersion) -> None:
    assert for_runtime(requirement) == version


@pytest.mark.parametrize("requirement", ["", "latest", "1", ">=1.7", "onnx==1.16", "1.7.0.1"])
def test_what_is_no_version_is_refused(requirement: str) -> None:
    with pytest.raises(ConfigError, match="is not a version of ONNX Runtime: write it as onnxruntime=="):
        for_runtime(requirement)


def test_runtimes_without_a_scale_a_channel_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.6 does not know .* 1\.7 is the oldest"):
        for_runtime("onnxruntime==1.6.0")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_onnx_paired_opset_and_ir_version_in_a_release(runtime: str | None) -> None:
    """An IR version newer than a runtime knows is refused, one that is too old for an opset is not valid."""
    pairs = {(row[1], row[2]) for row in onnx.helper.VERSION_TABLE}
    for version in (for_runtime(runtime), newest_read_by(runtime or "1.12")):
        assert (version.ir, version.opset) in pairs


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_is_found_again(runtime: str | None) -> None:
    """Any that asks for the same file."""
    assert for_runtime(runtime_for(for_runtime(runtime))) == for_runtime(runtime)


@pytest.mark.parametrize(
    ("runtime", "newest"),
    [("1.10", OnnxVersion(15, 8)), ("1.17.3", OnnxVersion(20, 9)), ("1.31.1", OnnxVersion(21, 10))],
)
def test_the_newest_that_a_runtime_reads(runtime: str, newest: OnnxVersion) -> None:
    assert newest_read_by(runtime) == newest


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_operator_is_in_the_opset(
    runtime: str | None, integer_model: IntegerModel, float_model: FloatModel, tmp_path: Path
) -> None:
    write_integer_model(integer_model, tmp_path / "int8", runtime=runtime)
    write_float_model(float_model, tmp_path / "float32", runtime=runtime)
    write_float_model(float_model, tmp_path / "float16", precision=Precision.FLOAT16, runtime=runtime)
    version = for_runtime(runtime)
    for path in tmp_path.iterdir():
        assert read(path).version == f"opset {version.opset}, IR {version.ir}"
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        for node in model.graph.node:  # raises if there is none
            onnx.defs.get_schema(node.op_type, version.opset)


def test_hard_swish_is_composed_where_the_opset_lacks_it(
    float_model: FloatModel, onnx_runtime: Callable[..., list[NDArray[Any]]], tmp_path: Path
) -> None:
    image = np.random.default_rng(0).normal(0, 2, (2, 3, 32, 32)).astype(np.float32)
    found = []
    for runtime, operator in ("1.7", "HardSigmoid"), ("1.8", "HardSwish"):
        write_float_model(float_model, tmp_path / "m.onnx", runtime=runtime)
        assert read(tmp_path / "m.onnx").operators[operator] == 2
        found += onnx_runtime(tmp_path / "m.onnx", image)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
