"""What several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
    from edgekit.pipeline.export import export

    folder = tmp_path_factory.mktemp("shipped") / "exported"
    flags: dict[str, dict[str, object]] = {
        "calibration": {"images": 16},  # enough for ranges that are not absurd
        "export": {"targets": list(config.TARGETS), "precisions": ["float32", "float16", "int8"], "out": folder},
    }
    export(config.load(CONFIG, flags))
    return folder
