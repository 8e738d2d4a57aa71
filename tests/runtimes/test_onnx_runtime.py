"""ONNX Runtime: the same integers at every optimization level, and a sentence for what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.onnx.codec import write_integer_model
from edgekit.integer_model import IntegerModel
from edgekit.runtimes import processor
from edgekit.runtimes.onnx_runtime import OnnxRuntimeRunner, OptimizationLevel

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def int8(exported: Path) -> Path:
    return next(exported.glob("*.int8.onnx"))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, 32, 32)).astype(np.float32)


def test_every_level_gives_the_same(int8: Path) -> None:
    answers = []
    for level in OptimizationLevel:
        with OnnxRuntimeRunner(int8, level=level, threads=2) as runner:
            if runner.differs_because is not None:
                continue  # x86 without VNNI
            answers.append(runner.run(images(3))["logits"])
            assert runner.name.startswith("ONNX Runtime ")
            assert runner.name.endswith(f", {level.removeprefix('ENABLE_')}")
            bound: Any = runner.bind(images(3))()
            assert np.array_equal(bound[0], answers[-1])
    assert answers[0].shape == (3, 10)
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


@pytest.mark.parametrize("lacks_vnni", [True, False])
def test_no_identity_is_claimed_where_sums_saturate(
    int8: Path, monkeypatch: pytest.MonkeyPatch, *, lacks_vnni: bool
) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: lacks_vnni)
    told = {level: OnnxRuntimeRunner(int8, level=level).differs_because for level in OptimizationLevel}
    why = processor.SATURATES if lacks_vnni else None
    assert told == {OptimizationLevel.DISABLE_ALL: None, OptimizationLevel.EXTENDED: why, OptimizationLevel.ALL: why}


@pytest.fixture
def small_weights(exported: Path) -> IntegerModel:
    """The shipped network, with weights of seven bits and so with other logits."""
    model = IntegerModel.load(next(exported.glob("*.edgekit")))
    halved = {n: a // 2 if a.dtype == np.int8 and a.ndim > 1 else a for n, a in model.graph.constants.items()}
    return replace(model, graph=replace(model.graph, constants=halved), lowering="seven-bit")


def test_weights_of_seven_bits_never_saturate(
    small_weights: IntegerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_integer_model(small_weights, tmp_path / "net.onnx")
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    runners = [OnnxRuntimeRunner(tmp_path / "net.onnx", level=level) for level in OptimizationLevel]
    assert [runner.differs_because for runner in runners] == [None] * 3


def test_a_file_that_takes_one_image_at_a_time(exported: Path, tmp_path: Path) -> None:
    model = IntegerModel.load(next(exported.glob("*.edgekit")))
    with_batch, without = tmp_path / "free.onnx", tmp_path / "one.onnx"
    write_integer_model(model, with_batch)
    write_integer_model(model, without, batch=1)
    with OnnxRuntimeRunner(with_batch) as free, OnnxRuntimeRunner(without) as one:
        assert np.array_equal(one.run(images(3))["logits"], free.run(images(3))["logits"])
        found, expected = one.trace(images(3)), free.trace(images(3))
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_what_it_refuses(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"ONNX Runtime [\d.]+ refuses .*net\.onnx: .+"):
        OnnxRuntimeRunner(tmp_path / "net.onnx")
    with pytest.raises(ArtifactError, match=r"refuses .*none\.onnx"):
        OnnxRuntimeRunner(tmp_path / "none.onnx")
    assert capfd.readouterr() == ("", "")


def test_without_the_runtime(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"onnxruntime is not installed: pip install 'edgekit\[onnx\]'"):
        OnnxRuntimeRunner(int8)
