"""Running .onnx files."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Run = Callable[..., list[NDArray[Any]]]

LEVELS = ("DISABLE_ALL", "ENABLE_EXTENDED", "ENABLE_ALL")


@pytest.fixture(scope="session")
def onnx_runtime() -> Run:
    """run(path, batch, level) -> every output; ``optimized`` is where the graph that runs is written to."""
    runtime = pytest.importorskip("onnxruntime", reason="pip install 'edgekit[onnx]'")

    def run(
        path: Path, batch: NDArray[Any], level: str = "ENABLE_ALL", optimized: Path | None = None
    ) -> list[NDArray[Any]]:
        options = runtime.SessionOptions()
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, f"ORT_{level}")
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # an optimized graph is for one machine, and it warns of that
        if optimized is not None:
            options.optimized_model_filepath = str(optimized)
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return [np.asarray(output) for output in session.run(None, {"image": batch})]

    return run


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    """Each level of optimization whose integers this processor can compute."""
    level: str = request.param
    capabilities = torch.cpu.get_capabilities()
    x86 = platform.machine() in {"x86_64", "AMD64"}
    if level != "DISABLE_ALL" and x86 and not (capabilities.get("avx512_vnni") or capabilities.get("avx_vnni")):
        pytest.skip("without VNNI the uint8 x int8 kernels of x86 saturate sums to 16 bits")
    return level
