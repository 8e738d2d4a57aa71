"""The runner for TorchScript files: the engine it takes, and that it leaves the process as it found it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
import torch

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.torch.codec import write_float_model, write_integer_model
from edgekit.exporters.torch.texts import Engine
from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.ir import Graph, Mean, Node, Output, Pad, Padding, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams
from edgekit.runtimes import processor
from edgekit.runtimes.torch import TorchRunner

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.runtimes.runner import Runner

TORCH = f"torch {torch.__version__.split('+')[0]}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A float file that takes the mean over the spatial axes."""
    tensors = {"x": Tensor("x", (3, 4, 5)), "y": Tensor("y", (3,))}
    graph = Graph("tiny", "x", (Output.logits("y"),), (Node("mean", Mean(keep_dims=False), ("x",), "y"),), tensors, {})
    write_float_model(FloatModel(graph, Preprocessing((4, 5), None)), tmp_path / "x.pt", precision=Precision.FLOAT32)
    return tmp_path / "x.pt"


def integer_file(path: Path, engine: Engine, profile: str = "universal") -> Path:
    """An int8 file that puts a frame around the image."""
    tensors = {"x": Tensor("x", (3, 4, 5)), "y": Tensor("y", (3, 6, 7))}
    graph = Graph(
        "tiny", "x", (Output.logits("y"),), (Node("frame", Pad(Padding(1, 1, 1, 1)), ("x",), "y"),), tensors, {}
    )
    params = dict.fromkeys("xy", QuantParams(np.array([0.1], np.float32), -5))
    preprocessing = Preprocessing((4, 5), None)
    model = IntegerModel(graph, params, {}, preprocessing, preprocessing.normalization, pixel_input=False)
    write_integer_model(replace(model, lowering=profile), path, io_dtype=IoDtype.INT8, engine=engine)
    return path


def test_run(path: Path) -> None:
    batch = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    with TorchRunner(path) as runner:
        np.testing.assert_allclose(runner.run(batch)["logits"], batch.mean((2, 3)), rtol=1e-5)
        assert runner.metadata is not None
        assert runner.metadata.network == "tiny"
        assert runner.name == TORCH


def test_bind(path: Path) -> None:
    batch = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    runner: Runner = TorchRunner(path)
    with runner:
        run = runner.bind(batch)
        for _ in range(2):
            output = run()
            assert isinstance(output, torch.Tensor)
            np.testing.assert_array_equal(output.numpy(), runner.run(batch)["logits"])


@pytest.mark.parametrize("engine", get_args(Engine))
def test_the_engine_is_the_one_that_the_file_was_laid_out_for(engine: Engine, tmp_path: Path) -> None:
    path = integer_file(tmp_path / "x.pt", engine)
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this build of torch has no {engine}")
    assert TorchRunner(path).name == f"{TORCH}, {engine}"


def test_nothing_is_said_about_deprecations(tmp_path: Path) -> None:
    path = integer_file(tmp_path / "x.pt", "qnnpack")
    program = (
        "import pathlib, sys, numpy\n"
        "from edgekit.runtimes.torch import TorchRunner\n"
        "TorchRunner(pathlib.Path(sys.argv[1])).run(numpy.zeros((1, 3, 4, 5), numpy.int8))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
    assert done.stderr == done.stdout == ""


def test_an_engine_that_is_chosen(tmp_path: Path) -> None:
    path = integer_file(tmp_path / "x.pt", "fbgemm")
    with TorchRunner(path, engine="qnnpack") as runner:
        assert runner.name == f"{TORCH}, qnnpack"
        stored = np.full((1, 3, 4, 5), 100, np.int8)
        expected = np.pad(stored, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-5)
        np.testing.assert_array_equal(runner.run(stored)["logits"], expected)


def test_builds_of_torch_without_fbgemm_take_qnnpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = integer_file(tmp_path / "x.pt", "fbgemm")
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["qnnpack"])
    assert TorchRunner(path).name == f"{TORCH}, qnnpack"


@pytest.mark.parametrize(("engine", "why"), [("fbgemm", processor.SATURATES), ("qnnpack", None)])
def test_no_identity_is_claimed_where_sums_saturate(
    engine: Engine, why: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this build of torch has no {engine}")
    path = integer_file(tmp_path / "x.pt", engine)
    monkeypatch.setattr(processor, "lacks_vnni", lambda: False)
    assert TorchRunner(path).differs_because is None
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    assert TorchRunner(path).differs_because == why


def test_weights_of_seven_bits_never_saturate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = integer_file(tmp_path / "x.pt", "fbgemm", profile="seven-bit")
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    assert TorchRunner(path).differs_because is None


def test_engine_and_threads_are_restored(path: Path) -> None:
    before = torch.backends.quantized.engine, torch.get_num_threads()
    runner = TorchRunner(path, threads=before[1] + 1, engine="qnnpack")
    assert (torch.backends.quantized.engine, torch.get_num_threads()) == before
    runner.run(np.zeros((1, 3, 4, 5), np.float32))
    runner.bind(np.zeros((1, 3, 4, 5), np.float32))()
    with pytest.raises(RuntimeError):
        runner.run(np.zeros(1, np.float32))
    assert (torch.backends.quantized.engine, torch.get_num_threads()) == before


def test_an_engine_that_is_not_there(path: Path) -> None:
    with pytest.raises(MissingDependency, match=r"no quantized engine 'abacus': choose from .*qnnpack"):
        TorchRunner(path, engine="abacus")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        TorchRunner(tmp_path / "none.pt")
