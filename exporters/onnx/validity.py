"""Whether an .onnx file is well-formed, and whether a named ONNX Runtime reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from edgekit.exporters.onnx.reader import load, opset_of
from edgekit.exporters.onnx.versions import newest_read_by
from edgekit.exporters.summary import Violation

if TYPE_CHECKING:
    from pathlib import Path


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a file.

    The onnx package checks names, operators, attributes, order, and, by inferring them, types and shapes.

    Args:
        path: of the file.
        runtime: the ONNX Runtime that has to read it ("1.17"); None for any.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
        ConfigError: ``runtime`` is not a version, or too old.
    """
    model = load(path)
    found = []
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.shape_inference.InferenceError as error:
        found.append(Violation(None, f"types and shapes contradict each other: {' '.join(str(error).split())}"))
    found += [
        Violation(node.output[0], f"is made by {node.op_type} of {node.domain}, which is none of ONNX's own operators")
        for node in model.graph.node
        if node.domain not in {"", "ai.onnx"}
    ]
    if runtime is not None:
        newest, opset = newest_read_by(runtime), opset_of(model)
        if opset > newest.opset:
            found.append(Violation(None, f"opset {opset}, and ONNX Runtime {runtime} reads up to {newest.opset}"))
        if model.ir_version > newest.ir:
            found.append(
                Violation(None, f"IR version {model.ir_version}, and ONNX Runtime {runtime} reads up to {newest.ir}")
            )
    return tuple(found)
