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
    """All files that took turns in one run."""

    rows: tuple[BenchRow, ...]


def bench(artifacts: Sequence[Path], settings: BenchSettings, *, progress: Progress = silent) -> BenchResult:
    """Time files, and the float32 file that export wrote beside an int8 or float16 one.

    Raises:
        ArtifactError: a file is missing or cannot be run.
        MissingDependency: a file's runtime is not installed.
    """
    suffixes = {form.suffix for form in FORMATS.values() if form.name != "coreml"}
    paths: list[Path] = []
    for artifact in artifacts:
        if not artifact.exists():
            raise ArtifactError(f"{artifact} does not exist")
        is_folder = artifact.is_dir() and artifact.suffix != FORMATS["coreml"].suffix
        found = sorted(e for e in artifact.iterdir() if e.suffix in suffixes) if is_folder else [artifact]
        paths += [path for path in found if path not in paths]
    if not paths:
        raise ArtifactError(f"there is no file to time in {', '.join(map(str, artifacts)) or 'nothing'}")
    for path in paths:
        format_of(path).check_installed()
    twins = {path: twin for path in paths if (twin := _float_twin(path)) is not None}
    everything = paths + [twin for twin in dict.fromkeys(twins.values()) if twin not in paths]
    measured = measure(
        everything, threads=settings.threads, runs=settings.runs, warmup=settings.warmup, progress=progress
    )
    by_path = {latency.path: latency for latency in measured}
    return BenchResult(
        tuple(
            BenchRow(
                latency,
                latency.p50_ms / by_path[twins[latency.path]].p50_ms if latency.path in twins else None,
                twin=latency.path not in paths,
            )
            for latency in measured
        )
    )


def _float_twin(path: Path) -> Path | None:
    """NAME.float32.tflite for NAME.int8.tflite, if it is there."""
    name = path.name.removesuffix(path.suffix)
    for precision in (Precision.INT8, Precision.FLOAT16):
        twin = path.with_name(f"{name.removesuffix(f'.{precision}')}.{Precision.FLOAT32}{path.suffix}")
        if name.endswith(f".{precision}") and twin.exists():
            return twin
    return None
