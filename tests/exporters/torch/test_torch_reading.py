"""Files opened again: what is counted, and what is refused."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.device.engines.torch import deprecations_silenced
from edgekit.errors import ArtifactError
from edgekit.exporters import metadata
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.summary import Endpoint
from edgekit.exporters.torch.codec import read, write_integer_model
from edgekit.exporters.torch.script import Program
from edgekit.ir import Padding
from tests.networks import IntegerSketch

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.torch.texts import Engine
    from edgekit.integer_model import IntegerModel


@pytest.fixture
def model() -> IntegerModel:
    """conv, pad, add, mean, linear."""
    tiny = IntegerSketch()
    x = tiny.conv("x", 8, 3, 2, Padding(0, 1, 0, 1))
    x = tiny.mean(tiny.pad(tiny.add_constant(x, Fraction(3)), Padding(1, 1, 1, 1)), keep_dims=False)
    tiny.linear(x, 5)
    model: IntegerModel = tiny.model()
    return model


BOUNDARIES = {
    IoDtype.FLOAT32: ("aten::quantize_per_tensor", "aten::dequantize"),
    IoDtype.INT8: ("from_int8", "to_int8"),
    IoDtype.UINT8: ("aten::_make_per_tensor_quantized_tensor", "aten::int_repr"),
}


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_an_integer_file_is_all_integers(model: IntegerModel, io_dtype: IoDtype, tmp_path: Path) -> None:
    path = tmp_path / "tiny.pt"
    write_integer_model(model, path, io_dtype=io_dtype)
    summary = read(path)
    assert summary.operators == {
        "quantized::conv2d": 1, "pad": 2, "quantized::add": 1, "mean": 1, "quantized::linear": 1,
    }  # fmt: skip
    assert summary.float_operators == ()
    assert summary.int8_share == 1.0
    assert summary.boundary == BOUNDARIES[io_dtype]
    assert summary.metadata == metadata.of_integer_model(model, io_dtype)
    assert summary.size_bytes == path.stat().st_size
    assert summary.version == "TorchScript 3 with lite bytecode, for fbgemm"
    params, offset = model.params["x"], 128 if io_dtype is IoDtype.UINT8 else 0
    stored = float(params.scale[0]), params.zero_point + offset
    scale, zero_point = (None, None) if io_dtype is IoDtype.FLOAT32 else stored
    assert summary.inputs == (Endpoint("x", io_dtype, (-1, 3, 9, 11), scale, zero_point),)
    assert summary.outputs[0].shape == (-1, 5)


def test_float_operators_bear_the_names_of_their_layers(mixed_block: IntegerModel, tmp_path: Path) -> None:
    write_integer_model(mixed_block, tmp_path / "tiny.pt", io_dtype=IoDtype.FLOAT32)
    summary = read(tmp_path / "tiny.pt")
    assert summary.float_operators == (
        "aten::constant_pad_nd layer_0", "aten::conv2d layer_0", "aten::add layer_1", "aten::clamp layer_1",
        "aten::mul layer_2", "aten::conv2d layer_7", "aten::conv2d layer_12", "aten::clamp layer_12",
    )  # fmt: skip
    assert summary.boundary == (
        "aten::quantize_per_tensor",
        *3 * ("aten::dequantize", "aten::quantize_per_tensor"),
        "aten::dequantize",
    )


@pytest.mark.parametrize(("engine", "operators"), [("fbgemm", {"pad": 1, "crop": 1}), ("qnnpack", {"pad": 1})])
def test_the_layout_is_read_back(engine: Engine, operators: dict[str, int], tmp_path: Path) -> None:
    tiny = IntegerSketch((8, 10, 12))
    tiny.conv("x", 8, 3, 2, Padding(0, 1, 0, 1), 8)
    write_integer_model(tiny.model(), tmp_path / "tiny.pt", io_dtype=IoDtype.INT8, engine=engine)
    summary = read(tmp_path / "tiny.pt")
    assert summary.version.endswith(f", for {engine}")
    assert summary.operators == {"quantized::conv2d": 1, **operators}
    assert summary.float_operators == ()


def test_metadata_is_there_for_any_loader(model: IntegerModel, tmp_path: Path) -> None:
    write_integer_model(model, tmp_path / "tiny.pt", io_dtype=IoDtype.INT8)
    extra: dict[str, Any] = {"edgekit.json": ""}
    with deprecations_silenced():
        torch.jit.load(tmp_path / "tiny.pt", _extra_files=extra)  # type: ignore[no-untyped-call]
    found = metadata.Metadata.from_json(extra["edgekit.json"].decode())
    assert found == metadata.of_integer_model(model, IoDtype.INT8)


def test_the_file_of_another_tool_is_refused(tmp_path: Path) -> None:
    program = Program()
    program.takes("x")
    program.returns(["torch.relu(x)"])
    (tmp_path / "other.pt").write_bytes(program.to_bytes({}))
    with pytest.raises(ArtifactError, match=r"says nothing about itself\), and was not loaded.*\.onnx"):
        read(tmp_path / "other.pt")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(model: IntegerModel, share: float, tmp_path: Path) -> None:
    path = tmp_path / "tiny.pt"
    write_integer_model(model, path, io_dtype=IoDtype.INT8)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ArtifactError, match="damaged"):
        read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        read(tmp_path / "none.pt")


def test_a_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "checkpoint.pt")
    with pytest.raises(ArtifactError, match="not a TorchScript file"):
        read(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("entry", ["edgekit.json", "program.json"])
@pytest.mark.parametrize("text", ["{}", "[]", "not json", '"\udcff"', '{"engine": "abacus"}', None])
def test_metadata_that_is_no_metadata_is_refused(
    model: IntegerModel, entry: str, text: str | None, tmp_path: Path
) -> None:
    write_integer_model(model, tmp_path / "tiny.pt", io_dtype=IoDtype.INT8)
    with zipfile.ZipFile(tmp_path / "tiny.pt") as old, zipfile.ZipFile(tmp_path / "new.pt", "w") as new:
        for name in old.namelist():
            if not name.endswith(entry):
                new.writestr(name, old.read(name))
            elif text is not None:
                new.writestr(name, text.encode(errors="surrogateescape"))
    with pytest.raises(ArtifactError, match="damaged" if text is not None else "says nothing about itself"):
        read(tmp_path / "new.pt")
