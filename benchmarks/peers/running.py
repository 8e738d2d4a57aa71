"""A finished file in its real runtime: its logits, and which of its operators compute in float there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS
from edgekit.quantization import QuantParams
from edgekit.runtimes import processor
from edgekit.runtimes.litert import Kernels, LiteRtRunner
from edgekit.runtimes.onnx_runtime import OnnxRuntimeRunner, OptimizationLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgekit.exporters.summary import Endpoint

BATCH_SIZE = 50
# Of the graph that ONNX Runtime makes of a file: conversions and views, which compute nothing.
_VIEWS = {"QuantizeLinear", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Run:
    """What a file did.

    Attributes:
        runtime: its name and version.
        logits: [N, classes].
        operators: kinds of all operators that compute, one an operator.
        float_operators: of those that compute in float.
    """

    runtime: str
    logits: NDArray[np.generic]
    operators: tuple[str, ...]
    float_operators: tuple[str, ...]


def run(path: Path, images: NDArray[np.float32]) -> Run:
    """Run a .tflite or .onnx file on normalized images [N, 3, H, W]; a .tflite file may have an int8 boundary.

    Raises:
        ArtifactError: the runtime refuses the file, whatever its kernels.
    """
    if path.suffix == ".tflite":
        summary = FORMATS["tflite"].read(path)
        operators = tuple(kind for kind, count in summary.operators.items() for _ in range(count))
        floats = tuple(name.split()[0] for name in summary.float_operators)
        with _litert(path) as runner:
            stored = (_quantize(batch, summary.inputs[0]) for batch in _batches(images))
            logits = [_dequantize(_first(runner.run(batch)), summary.outputs[0]) for batch in stored]
            return Run(runner.name, np.concatenate(logits), operators, floats)
    # Kernels that clamp sums would show their own faults, not the file's.
    level = OptimizationLevel.DISABLE_ALL if processor.lacks_vnni() else OptimizationLevel.ALL
    with OnnxRuntimeRunner(path, level=level) as session:
        logits = [_first(session.run(batch)) for batch in _batches(images)]
        return Run(session.name, np.concatenate(logits), *_as_executed(path))


def _first(outputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The only output, whatever its name: each tool calls it otherwise."""
    return next(iter(outputs.values()))


def _batches(images: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (np.array(images[i : i + BATCH_SIZE]) for i in range(0, len(images), BATCH_SIZE))


def _quantize(images: NDArray[np.float32], end: Endpoint) -> NDArray[Any]:
    return images if end.dtype == "float32" else _params(end).quantize(images)


def _dequantize(logits: NDArray[Any], end: Endpoint) -> NDArray[np.float32]:
    return logits if end.dtype == "float32" else _params(end).dequantize(logits)


def _params(end: Endpoint) -> QuantParams:
    assert end.dtype == "int8", f"{end.name} is {end.dtype}"
    assert end.scale is not None
    assert end.zero_point is not None
    return QuantParams(np.array([end.scale], np.float32), end.zero_point)


def _litert(path: Path) -> LiteRtRunner:
    """LiteRT as applications get it; with its own kernels where XNNPACK refuses the file, as its name then says."""
    try:
        return LiteRtRunner(path)
    except ArtifactError:
        return LiteRtRunner(path, kernels=Kernels.BUILTIN)


def _as_executed(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All operators, and the float ones, of the graph that ONNX Runtime makes of a QDQ file.

    The file alone does not tell: between DequantizeLinear and QuantizeLinear stands a float operator, for which the
    runtime has an integer kernel or not (HardSwish and HardSigmoid have none).
    """
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(optimized)
        options.log_severity_level = 3  # that such a file runs on this kind of machine alone is no news
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(optimized).graph
    operators = tuple(node.op_type for node in graph.node if node.op_type not in _VIEWS)
    return operators, tuple(kind for kind in operators if not _is_integer(kind))


def _is_integer(kind: str) -> bool:
    """Whether a kernel computes in integers; source: docs/ContribOperators.md and docs/Operators.md of ONNX Runtime."""
    return kind.startswith(("QLinear", "QGemm")) or kind.endswith("Integer")
