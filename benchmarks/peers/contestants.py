"""Who takes part, and how each makes its file."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import json
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.peers import networks
from edgekit.benchmarks.peers.environments import TOOLS, python_of
from edgekit.benchmarks.peers.running import Run, run
from edgekit.errors import GateFailed
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.finetune import finetune
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.benchmarks.peers.networks import Given, Network
    from edgekit.config import Settings


@dataclass(frozen=True, slots=True)
class Contestant:
    """A tool and how it is used.

    Attributes:
        key: names its results.
        title: for people.
        tool: the file in tools/, without its suffix; None for edgekit.
        options: of the tool's ``quantize``.
    """

    key: str
    title: str
    tool: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


CONTESTANTS = (
    Contestant("edgekit", "edgekit export", None),
    Contestant("edgekit_finetune", "edgekit finetune", None, {"finetune": True}),
    Contestant("edgekit_per_tensor", "edgekit export, weights per tensor", None, {"per_tensor_weights": True}),
    *(
        Contestant(
            f"onnx_runtime_{method.lower()}_per_{part}",
            f"ONNX Runtime quantize_static, {words}, weights per {part}",
            "onnx_runtime",
            {"method": method, "per_channel": part == "channel", "activations": "QUInt8"},
        )
        for method, words in (("MinMax", "min-max"), ("Percentile", "percentile"), ("Entropy", "entropy"))
        for part in ("channel", "tensor")
    ),
    Contestant("ai_edge", "litert-torch + ai-edge-quantizer, static int8", "ai_edge"),
    Contestant("tflite_converter", "TensorFlow Lite converter, full int8", "tflite_converter"),
    Contestant("nncf_fast", "NNCF, mixed preset, fast bias correction", "nncf", {"fast_bias_correction": True}),
    Contestant(
        "nncf_accurate", "NNCF, mixed preset, accurate bias correction", "nncf", {"fast_bias_correction": False}
    ),
    Contestant("torchao", "torchao PT2E, X86InductorQuantizer", "torchao"),
    Contestant("executorch", "torchao PT2E, XNNPACKQuantizer of ExecuTorch", "executorch"),
)


@dataclass(frozen=True, slots=True, eq=False)  # a run holds arrays
class Attempt:
    """A file that a contestant made, and how it ran.

    Attributes:
        path: of the file.
        versions: of the tool's packages.
        run: what the file did.
    """

    path: Path
    versions: Mapping[str, str]
    run: Run


def matches(network: Network, contestant: Contestant, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns, each NETWORK/TOOL, names this pair."""
    return any(fnmatch.fnmatch(f"{network.key}/{contestant.key}", pattern) for pattern in patterns)


def attempt(contestant: Contestant, given: Given, cache: Path, out: Path) -> Attempt:
    """Quantize a network as the contestant does, and run the result.

    Args:
        contestant: the tool and its options.
        given: the network and the images.
        cache: holds the environments, and what jobs of a tool on the same network share.
        out: an existing folder, for the file and what the tool prints.

    Raises:
        MissingDependency: the tool cannot be installed.
        GateFailed: it cannot quantize the network.
        ArtifactError: the runtime refuses its file.
    """
    if contestant.tool is None:
        path = _own(contestant, networks.settings(given, out, "tflite", "int8"))
        versions = {"edgekit": __version__, "torch": importlib.metadata.version("torch")}
        return Attempt(path, versions, run(path, np.load(given.images.validation, mmap_mode="r")))
    answer = ask(contestant, contestant.tool, given, cache, out)
    path = Path(answer["path"])
    if "logits" in answer:
        operators, floats = tuple(answer["operators"]), tuple(answer["float_operators"])
        ran = Run(answer["runtime"], np.load(answer["logits"]), operators, floats)
    else:
        ran = run(path, np.load(given.images.validation, mmap_mode="r"))
    return Attempt(path, answer["versions"], ran)


def _own(contestant: Contestant, settings: Settings) -> Path:
    """The file that edgekit makes."""
    if contestant.options.get("finetune"):
        return finetune(settings).export.files[0].path
    coarse = replace(settings.calibration, per_tensor_weights=contestant.options.get("per_tensor_weights", False))
    return export(replace(settings, calibration=coarse)).files[0].path


def ask(contestant: Contestant, tool: str, given: Given, cache: Path, out: Path) -> dict[str, Any]:
    """The answer of a tool that quantizes a network, from a process in its environment; "path" is its file's.

    Raises:
        MissingDependency: the tool cannot be installed.
        GateFailed: it cannot quantize the network.
    """
    python = python_of(tool, cache / "environments")
    work = cache / "work" / given.network.key
    work.mkdir(parents=True, exist_ok=True)
    answer = out / "answer.json"
    job = {
        "onnx": str(given.onnx),
        "torch": str(given.program),
        "calibration": str(given.images.calibration),
        "validation": str(given.images.validation),
        "options": dict(contestant.options),
        "work": str(work),
        "out": str(out / "model"),
        "answer": str(answer),
    }
    # -I: neither our folder nor PYTHONPATH may reach into that environment. One thread, for results that repeat.
    command = [str(python), "-I", str(TOOLS / "worker.py"), str(TOOLS / f"{tool}.py")]
    said = out / "said.txt"
    with said.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            command,
            input=json.dumps(job),
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=out,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
            check=False,
        )
    if done.returncode:
        lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise GateFailed(
            f"{contestant.title} ended with {done.returncode}: {lines[-1] if lines else 'it said nothing'}"
        )
    told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return told
