"""What several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows, where tests run in one process
    fcntl = None  # type: ignore[assignment] # a module, or nothing

# Thousands of small tensors: handing each to a second thread costs more than it saves. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


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

    folder = tmp_path_factory.mktemp("shipped") / "exported"
    flags: dict[str, dict[str, object]] = {
        "calibration": {"images": 16},  # enough for ranges that are not absurd
        "export": {"targets": list(FORMATS), "precisions": ["float32", "float16", "int8"], "out": folder},
    }
    export(config.load(CONFIG, flags))
    return folder


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
