"""``edgekit diff``: what is shown, and the exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.defaults import CHECKPOINT, FOLDER
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.onnx import codec as onnx_exporter
from edgekit.integer_model import IntegerModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"
LAYER = "features.2.block.0.0"


@pytest.fixture
def faulty(exported: Path, tmp_path: Path) -> Path:
    model = IntegerModel.load(exported / f"{NAME}.int8.edgekit")
    tensor = next(node.output for node in model.graph if node.name == LAYER)
    params = {**model.params, tensor: replace(model.params[tensor], scale=model.params[tensor].scale * np.float32(1.1))}
    onnx_exporter.write_integer_model(
        replace(model, params=params), tmp_path / "faulty.int8.onnx", io_dtype=IoDtype.FLOAT32
    )
    return tmp_path / "faulty.int8.onnx"


def test_identical(run: Run, exported: Path) -> None:
    result = run("diff", exported / f"{NAME}.int8.tflite", exported / f"{NAME}.int8.onnx", "--images", "1")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["comparing", "no images were named (--data DIR): compared on noise"]
    assert f"{NAME} on 1 image of noise" in result.stdout
    assert "LiteRT" in result.stdout
    assert "✔ identical: " in result.stdout


def test_floats(run: Run, exported: Path) -> None:
    result = run("diff", exported / f"{NAME}.float32.pt", CHECKPOINT, "--data", FOLDER / "test.npz", "--images", "2")
    assert result.exit_code == 0
    assert "✔ they do not part: " in result.stdout
    assert "of the largest" in result.stdout


def test_integers_and_floats(run: Run, exported: Path) -> None:
    result = run("diff", exported / f"{NAME}.float32.tflite", exported / f"{NAME}.int8.edgekit")
    assert result.exit_code == 0
    assert "layers with the lowest SQNR" in result.stdout
    assert "it falls most at " in result.stdout
    assert result.stdout.splitlines()[-1].startswith("the answers have ")


def test_they_part(run: Run, exported: Path, faulty: Path) -> None:
    good = exported / f"{NAME}.int8.tflite"
    result = run("diff", good, faulty, "--data", FOLDER / "test.npz", "--images", "2")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"✘ they part at {LAYER} (Conv2d)" in lines
    told = {line.split("  ")[0]: line for line in lines}
    assert "scale: every value is 0.909 times what it has to be" in told["cause"]
    assert "by up to" in told["differs"]
    assert told["channels"].endswith("64 of 64")
    assert "in a, " in told["for example"]
    assert "faulty.int8.onnx; the other is as the model has it" in told["off is"]
    assert lines[-2:] == ["again", f"edgekit diff {good} {faulty} --data {FOLDER / 'test.npz'} --images 2"]
    below = lines[lines.index("from there") + 2 : -2]
    assert "100 %" in below[0]
    assert LAYER in below[1]
    assert len(below) == 5


def test_bad_input(run: Run, exported: Path) -> None:
    result = run("diff", exported / f"{NAME}.int8.tflite", "none.onnx")
    assert result.exit_code == 2
    assert "none.onnx does not exist" in result.stderr


def test_json(run: Run, exported: Path, faulty: Path) -> None:
    result = run("diff", exported / f"{NAME}.int8.edgekit", faulty, "--images", "1", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found.keys() == {
        *("schema_version", "command", "network", "a", "b", "images", "noise", "skipped", "layers", "divergence"),
        *("steepest_fall", "near", "reproduce", "passed", "comparable"),
    }
    assert found["divergence"].keys() == {
        *("layer", "tensor", "operator", "max_difference", "unit", "share", "channels", "channel_count", "where"),
        *("examples", "culprit", "cause", "explanation", "remedy", "sentence"),
    }
    assert found["layers"][0].keys() == {
        *("layer", "tensor", "operator", "values", "equal", "differences", "max_difference", "signal", "noise"),
        *("identical", "sqnr_db"),
    }
    assert (found["divergence"]["layer"], found["divergence"]["cause"]) == (LAYER, "scale")
    assert found["a"]["path"] == str(Path(exported / f"{NAME}.int8.edgekit"))
    good = run("diff", exported / f"{NAME}.int8.edgekit", exported / f"{NAME}.int8.pt", "--images", "1", "--json")
    assert json.loads(good.stdout)["divergence"] is None
