"""Values of operators for Model Explorer, which colours a graph by them.

A document holds, for each graph, a name, values by tensor name, and the colours from the least value to the largest.
Source: node_data_builder.py of ai-edge-model-explorer 0.1.34.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.exporters.formats import format_of
from edgekit.pipeline.measuring.profile import profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


GRAPH: Final = "main"  # what Model Explorer calls the graph of a .tflite file
_GOOD, _BAD = "#e6f4ea", "#f28b82"
_RUNS: Final = 20  # of a file that is profiled to be drawn
_INT8_STEPS: Final = 255  # between the least integer and the largest


def document(name: str, values: Mapping[str, float], *, high_is_bad: bool) -> str:
    """One kind of value, as JSON.

    Args:
        name: of what was measured, with its unit.
        values: by the name of the tensor that an operator makes; those that are not finite are left out.
        high_is_bad: whether the largest value is coloured as the worst.
    """
    colours = (_GOOD, _BAD) if high_is_bad else (_BAD, _GOOD)
    found = {tensor: {"value": float(f"{value:.6g}")} for tensor, value in values.items() if math.isfinite(value)}
    gradient = [{"stop": stop, "bgColor": colour} for stop, colour in enumerate(colours)]
    return json.dumps({GRAPH: {"name": name, "results": found, "gradient": gradient}})


def ranges(path: Path) -> dict[str, float]:
    """How far the integers of each tensor reach in an int8 file: largest real value less the least, by tensor."""
    found = {}
    for operator in format_of(path).contents(path).operators:
        scale = operator.fields.get("scale")
        if operator.fields.get("dtype") == "int8" and isinstance(scale, np.ndarray) and scale.size == 1:
            found[operator.name] = _INT8_STEPS * float(scale.item())
    return found


def latency_us(path: Path) -> dict[str, float]:
    """Microseconds of each operator of a file, by tensor, as its runtime's profiler tells them here and now.

    Raises:
        ArtifactError: edgekit did not write the file.
        MissingDependency: its runtime is not installed, or has no profiler.
    """
    return {one.tensor: one.us for one in profile(path, runs=_RUNS).operators if one.tensor}


def sqnr_db(path: Path) -> dict[str, float]:
    """The SQNR of each tensor in decibels, from a report of ``edgekit verify`` beside the file; empty without one.

    A report of another file, or of this one before it was changed, does not count: SHA-256 tells.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for beside in sorted(path.parent.glob("*.json")):
        try:
            report: Any = json.loads(beside.read_bytes())
            if report["command"] == "verify" and digest in {file["sha256"] for file in report["files"]}:
                return {layer["tensor"]: float(layer["sqnr_db"]) for layer in report["layers"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another command's, or no report at all
    return {}
