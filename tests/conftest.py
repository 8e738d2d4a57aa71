"""What several test folders share."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.ir import Graph
    from edgekit.models.checkpoint import Checkpoint

try:
    import fcntl
except ImportError:  # Windows, where tests run in one process
    fcntl = None  # type: ignore[assignment] # a module, or nothing

# The same examples in every run: what passes here passes everywhere. --hypothesis-profile=default searches anew.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Thousands of small tensors: handing each to a second thread costs more than it saves. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _captured_once() -> Iterator[None]:
    """A checkpoint's network is captured once for each way of reading it: torch.export takes most of many a test."""
    from edgekit.pipeline.making import trained

    load, graphs = trained.of_checkpoint, dict[str, "Graph"]()

    def loaded(checkpoint: Checkpoint, path: Path) -> trained.Trained:
        found = load(checkpoint, path)
        key = json.dumps([found.provenance, found.shape], sort_keys=True)

        def capture() -> Graph:
            if key not in graphs:
                graphs[key] = found.capture()
            return graphs[key]

        return replace(found, capture=capture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "of_checkpoint", loaded)
        yield


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real checkpoints and images, which is not part of the project."""
    folder = Path(os.environ.get("EDGEKIT_REALDATA", "nowhere"))
    if not (folder / "models").is_dir():
        pytest.skip("EDGEKIT_REALDATA names no folder with models/ and images/")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network that edgekit ships in every format and precision; to be read, not written to."""
    for module in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
        pytest.importorskip(module)
    from edgekit import config
    from edgekit.defaults import CONFIG
    from edgekit.exporters.formats import FORMATS
    from edgekit.pipeline.making.export import export

    with made_once(tmp_path_factory, "shipped") as (folder, is_new):
        out = folder / "exported"
        flags: dict[str, dict[str, object]] = {
            "calibration": {"images": 16},  # enough for ranges that are not absurd
            "export": {"targets": list(FORMATS), "precisions": ["float32", "float16", "int8"], "out": out},
        }
        if is_new:
            export(config.load(CONFIG, flags))
    return out


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trunk with three heads of different shapes, one of them a feature map, in every format; to be read only.

    The checkpoint is ``three_heads`` as an ONNX file, net.onnx; what was exported of it lies in "exported".
    """
    for module in ("torch", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
        pytest.importorskip(module)
    import warnings

    import numpy as np
    import torch

    from edgekit import config
    from edgekit.pipeline.making.export import export
    from tests.networks import three_heads

    with made_once(tmp_path_factory, "heads") as (folder, is_new):
        if is_new:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # this exporter is deprecated, and its files will be around for long
                names: dict[str, Any] = {"input_names": ["image"], "output_names": ["classes", "pose", "mask"]}
                image = torch.zeros(1, 3, 64, 64)
                torch.onnx.export(three_heads(), (image,), folder / "net.onnx", dynamo=False, **names)
            patches = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
            np.save(folder / "images.npy", patches.repeat(8, 1).repeat(8, 2))
            export(config.load(None, heads_of(folder)))
    return folder


def heads_of(folder: Path, **export: object) -> dict[str, dict[str, object]]:
    """Settings that export that network."""
    from edgekit.exporters.formats import FORMATS

    files = {"targets": list(FORMATS), "precisions": ["float32", "int8"], "out": folder / "exported"}
    return {
        "model": {"checkpoint": folder / "net.onnx"},
        "preprocessing": {"resize": "none", "mean": [0.5] * 3, "std": [0.25] * 3, "order": "RGB"},
        "calibration": {"data": folder / "images.npy"},
        "export": files | export,
    }


@contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all processes of one test run share, and whether this is the one that has to fill it."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / name
    with (root / f"{name}.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        is_new = not folder.is_dir()
        folder.mkdir(exist_ok=True)
        try:
            yield folder, is_new
        except BaseException:
            if is_new:
                shutil.rmtree(folder)
            raise


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small linear network as an .onnx file, which another tool wrote; to be read, not written to."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    import numpy as np

    weights = np.random.default_rng(0).normal(size=(3 * 8 * 8, 10)).astype(np.float32)
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", real, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", real, [1, 10])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path_factory.mktemp("a net") / "linear net.onnx"  # names may hold spaces
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
