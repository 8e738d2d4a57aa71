"""LiteRT: runs files, says what it runs them with, and where every operator went."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.device.engines import litert as engine
from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.tflite import codec as tflite
from edgekit.integer_model import IntegerModel
from edgekit.runtimes.litert import Kernels, LiteRtRunner

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def int8(exported: Path) -> Path:
    return next(exported.glob("*.int8.tflite"))


def images(count: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, 32, 32)).astype(dtype)


def test_a_batch_is_run_image_by_image(int8: Path) -> None:
    with LiteRtRunner(int8) as runner:
        together = runner.run(images(3))["logits"]
        assert together.shape == (3, 10)
        assert np.array_equal(together, np.concatenate([runner.run(images(3)[i : i + 1])["logits"] for i in range(3)]))


def test_what_is_bound_is_run(int8: Path) -> None:
    with LiteRtRunner(int8, threads=2) as runner:
        run = runner.bind(images(1))
        run()
        run()
        bound = runner._engine.tensor(runner._engine._outputs["logits"])
        assert np.array_equal(bound, runner.run(images(1))["logits"])


def test_the_name_says_what_runs(int8: Path) -> None:
    with LiteRtRunner(int8) as fast, LiteRtRunner(int8, kernels=Kernels.BUILTIN) as plain:
        assert fast.name.startswith("LiteRT ")
        assert fast.name.endswith(", XNNPACK")
        assert plain.name == fast.name.replace("XNNPACK", "builtin")
        assert fast.differs_because is None
        assert plain.differs_because == "TFLite's own int8 kernels round twice"


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_one_piece_and_nothing_outside(exported: Path, precision: str) -> None:
    with LiteRtRunner(next(exported.glob(f"*.{precision}.tflite"))) as runner:
        assert (runner.placement.pieces, runner.placement.outside) == (1, ())


def test_without_a_delegate_everything_is_outside(int8: Path) -> None:
    with LiteRtRunner(int8, kernels=Kernels.BUILTIN) as runner:
        assert runner.placement.pieces == 0
        summary = tflite.read(int8)
        operators = summary.operators
        assert len(runner.placement.outside) == sum(operators.values()) + len(summary.boundary)
        assert {name for name in runner.placement.outside if name in operators} == set(operators)


def test_operators_that_the_delegate_refuses_are_named(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    tflite.write_integer_model(IntegerModel.load(next(exported.glob("*.edgekit"))), path, io_dtype=IoDtype.UINT8)
    with LiteRtRunner(path) as runner:
        assert runner.placement.pieces == 1
        assert runner.placement.outside == ("QUANTIZE", "QUANTIZE")


def test_it_says_nothing(int8: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with LiteRtRunner(int8) as runner:
        runner.run(images(1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0\0\0\0TFL3" + b"\0" * 100])
def test_what_it_refuses(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tflite").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"LiteRT [\d.]+ refuses .*net\.tflite: \w+"):
        LiteRtRunner(tmp_path / "net.tflite")
    assert capfd.readouterr() == ("", "")


def test_without_any_runtime(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {f"{name}.interpreter": (name, name) for name in ("no_such_litert", "no_such_runtime")}
    monkeypatch.setattr(engine, "_MODULES", nowhere)
    with pytest.raises(MissingDependency, match=r"pip install 'edgekit\[tflite\]'"):
        LiteRtRunner(int8)


def test_a_runtime_that_is_broken_is_not_taken_for_missing(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'flatbuffers'", name="flatbuffers")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="flatbuffers"):
        LiteRtRunner(int8)
