"""Latency of files, each with its float twin beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.latency import Latency, measure
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.config import BenchSettings

_NO_RUNTIME = "coreml"


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One file.

    Attributes:
        latency: what was measured.
        float_ratio: its median over that of its float32 twin; None where there is no twin.
        twin: it was not asked for, it is here to be compared with.
    """

    latency: Latency
    float_ratio: float | None
    twin: bool


@dataclass(frozen=True, slots=True)
class BenchResult:
    """All files that took turns in one run.

    Attributes:
        rows: one a file.
        warmup: runs of each before timing started.
        left_out: files in the folders that have no runtime on this machine.
    """

    rows: tuple[BenchRow, ...]
    warmup: int
    left_out: tuple[Path, ...]


def bench(artifacts: Sequence[Path], settings: BenchSettings, *, progress: Progress = silent) -> BenchResult:
    """Time files, and the float32 file that export wrote beside an int8 or float16 one.

    Raises:
        ArtifactError: a file is missing or cannot be run.
        MissingDependency: a file's runtime is not installed.
    """
    paths, left_out = _expand(artifacts)
    twins = {path: twin for path in paths if (twin := _float_twin(path)) is not None}
    everything = list(dict.fromkeys([*paths, *twins.values()]))
    measured = measure(
        everything, threads=settings.threads, runs=settings.runs, warmup=settings.warmup, progress=progress
    )
    p50_ms = {latency.path: latency.p50_ms for latency in measured}
    rows = tuple(
        BenchRow(
            latency,
            latency.p50_ms / p50_ms[twins[latency.path]] if latency.path in twins else None,
            twin=latency.path not in paths,
        )
        for latency in measured
    )
    return BenchResult(rows, settings.warmup, tuple(left_out))


def _expand(artifacts: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Folders replaced by the files in them, and those of these that cannot be run here."""
    runnable = {form.suffix for form in FORMATS.values() if form.name != _NO_RUNTIME}
    package = FORMATS[_NO_RUNTIME].suffix
    paths: list[Path] = []
    left_out: list[Path] = []
    for artifact in artifacts:
        if artifact.suffix == package:
            raise ArtifactError(
                f"{artifact} needs an Apple system to run: time it in Xcode, on a Mac or on the phone it is for"
            )
        if artifact.is_dir():
            entries = sorted(artifact.iterdir())
            paths += [entry for entry in entries if entry.suffix in runnable]
            left_out += [entry for entry in entries if entry.suffix == package]
        else:
            format_of(artifact)  # says what is wrong with a name that is no exported file's
            paths.append(artifact)
    if not paths:
        raise ArtifactError(f"there is no file to time in {', '.join(map(str, artifacts)) or 'nothing'}")
    return list(dict.fromkeys(paths)), left_out


def _float_twin(path: Path) -> Path | None:
    """NAME.float32.tflite for NAME.int8.tflite, if it is there."""
    name = path.name.removesuffix(path.suffix)
    for precision in (Precision.INT8, Precision.FLOAT16):
        twin = path.with_name(f"{name.removesuffix(f'.{precision}')}.{Precision.FLOAT32}{path.suffix}")
        if name.endswith(f".{precision}") and twin.exists():
            return twin
    return None
