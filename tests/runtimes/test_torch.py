"""The runner for TorchScript files: it leaves the process as it found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.metadata import Precision
from edgekit.exporters.torch import write_float_model
from edgekit.exporters.torch.script import exact_engine
from edgekit.float_model import FloatModel
from edgekit.ir import Graph, Mean, Node, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.torch import TorchRunner

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that takes the mean over the spatial axes."""
    tensors = {"x": Tensor("x", (3, 4, 5)), "y": Tensor("y", (3,))}
    graph = Graph("tiny", "x", ("y",), (Node("mean", Mean(keep_dims=False), ("x",), "y"),), tensors, {})
    write_float_model(FloatModel(graph, Preprocessing((4, 5), None)), tmp_path / "x.pt", precision=Precision.FLOAT32)
    return tmp_path / "x.pt"


def test_run(path: Path) -> None:
    batch = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    with TorchRunner(path) as runner:
        np.testing.assert_allclose(runner.run(batch), batch.mean((2, 3)), rtol=1e-5)
        assert runner.metadata is not None
        assert runner.metadata.network == "tiny"
        assert runner.name == f"torch {torch.__version__.split('+')[0]}, {exact_engine()}"


def test_engine_and_threads_are_restored(path: Path) -> None:
    before = torch.backends.quantized.engine, torch.get_num_threads()
    runner = TorchRunner(path, threads=before[1] + 1, engine="qnnpack")
    assert (torch.backends.quantized.engine, torch.get_num_threads()) == before
    runner.run(np.zeros((1, 3, 4, 5), np.float32))
    with pytest.raises(RuntimeError):
        runner.run(np.zeros(1, np.float32))
    assert (torch.backends.quantized.engine, torch.get_num_threads()) == before


def test_an_engine_that_is_not_there(path: Path) -> None:
    with pytest.raises(MissingDependency, match=r"no quantized engine 'abacus': choose from .*qnnpack"):
        TorchRunner(path, engine="abacus")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        TorchRunner(tmp_path / "none.pt")
