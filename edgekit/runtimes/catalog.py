"""Which runners can run a file."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from edgekit import extras
from edgekit.errors import MissingDependency
from edgekit.exporters.formats import format_of
from edgekit.runtimes import processor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.runtimes.runner import Runner


def default_runner(path: Path, *, threads: int = 1) -> Callable[[], Runner] | None:
    """The way an application runs ``path``; None where this machine has no runtime for its format.

    That is so of Core ML but on a Mac: no application interprets a package.
    """
    if format_of(path).name == "coreml" and not _is_mac():
        return None
    return all_runners(path, threads=threads)[0]


def all_runners(path: Path, *, threads: int = 1) -> tuple[Callable[[], Runner], ...]:
    """Every way to run ``path`` whose integers edgekit answers for, the default first, where there is one.

    Raises:
        ArtifactError: ``path`` is of no known format.
        MissingDependency: torch is not installed; other runtimes are looked for when the runner is made.
    """
    match format_of(path).name:
        case "onnx":
            from edgekit.runtimes.onnx_runtime import OnnxRuntimeRunner, OptimizationLevel  # noqa: PLC0415

            levels = (OptimizationLevel.ALL, OptimizationLevel.EXTENDED, OptimizationLevel.DISABLE_ALL)
            return tuple(partial(OnnxRuntimeRunner, path, threads=threads, level=level) for level in levels)
        case "tflite":
            from edgekit.runtimes.litert import LiteRtRunner  # noqa: PLC0415

            return (partial(LiteRtRunner, path, threads=threads),)
        case "torch":
            extras.load("torch", "torch")
            from edgekit.runtimes.torch import TorchRunner  # noqa: PLC0415

            usual = partial(TorchRunner, path, threads=threads)
            # qnnpack widens before it multiplies, so it shows a file's integers where fbgemm's kernels clamp sums.
            return (usual, partial(usual, engine="qnnpack")) if processor.lacks_vnni() else (usual,)
        case "coreml":
            from edgekit.runtimes.coreml import CoreMlInterpreter, CoreMlRunner  # noqa: PLC0415

            interpreted = partial(CoreMlInterpreter, path)
            return (partial(CoreMlRunner, path), interpreted) if _is_mac() else (interpreted,)
        case name:
            raise AssertionError(f"there is a format {name}, and nothing runs it")


def claimed_runner(path: Path, *, threads: int = 1) -> Callable[[], Runner]:
    """The first way to run ``path`` whose integers are the reference's: without VNNI, not always the default.

    Raises:
        ArtifactError: ``path`` is of no known format.
        MissingDependency: a runtime is not installed, or none here computes what the file says; the reasons are given.
    """
    reasons = []
    for make_runner in all_runners(path, threads=threads):
        with make_runner() as runner:
            if runner.differs_because is None:
                return make_runner
            reasons.append(f"{runner.name}: {runner.differs_because}")
    raise MissingDependency(f"nothing here runs {path} as it is meant: {'; '.join(reasons)}")


def other_runners(path: Path, *, threads: int = 1) -> tuple[Callable[[], Runner], ...]:
    """Ways to run ``path`` that give other integers, which is worth knowing: TFLite's own kernels, without XNNPACK.

    Raises:
        ArtifactError: ``path`` is of no known format.
    """
    if format_of(path).name != "tflite":
        return ()
    from edgekit.runtimes.litert import Kernels, LiteRtRunner  # noqa: PLC0415

    return (partial(LiteRtRunner, path, threads=threads, kernels=Kernels.BUILTIN),)


def _is_mac() -> bool:
    return sys.platform == "darwin"
