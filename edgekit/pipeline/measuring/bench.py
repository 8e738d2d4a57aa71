"""Latency of files on this machine, or on another one: what is measured is a ``Plan`` either way."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.device.bench import bench as measure
from edgekit.device.chain import Chain
from edgekit.device.check import check
from edgekit.device.engines import GPU_ENGINES, ON_GPU
from edgekit.device.plan import CHAIN, Plan, PlannedFile
from edgekit.device.results import Results
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS, format_of, refuse_trained
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX
from edgekit.pipeline.making.artifacts import RECORDS
from edgekit.pipeline.measuring.bundle import pack
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import engine_of, needed_elsewhere
from edgekit.runtimes.planned import planned_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgekit.config import BenchSettings
    from edgekit.device.check import Checked


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be measured.

    Attributes:
        plan: the files, by their paths on this machine.
        extras: paths of files that were not asked for: they are there to be compared with.
        left_out: files in the folders that no engine runs.
    """

    plan: Plan
    extras: tuple[str, ...]
    left_out: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What was measured.

    Attributes:
        results: of all files that took turns in one run.
        extras: as in ``Planned``.
        left_out: likewise.
        device: its address; None for this machine.
        checked: what each file answers there, against what it answers here.
    """

    results: Results
    extras: tuple[str, ...]
    left_out: tuple[Path, ...]
    device: str | None = None
    checked: tuple[Checked, ...] = ()


def bench(
    artifacts: Sequence[Path], settings: BenchSettings, *, against: Path | None = None, progress: Progress = silent
) -> BenchResult:
    """Time files on this machine.

    Args:
        artifacts: files, or folders of files, of edgekit or of another tool.
        settings: threads, batches and laps.
        against: what all of them are compared with; None compares int8 and float16 files with the float32 file that
            export wrote beside them.
        progress: told about every lap.

    Raises:
        ArtifactError: a file is missing or cannot be run.
        MissingDependency: a file's runtime is not installed.
    """
    planned = plan(artifacts, settings, against=against)
    checked = _gpus_checked(planned.plan, progress) if settings.gpu else ()
    return BenchResult(measure(planned.plan, Path(), progress), planned.extras, planned.left_out, checked=checked)


def _gpus_checked(everything: Plan, progress: Progress) -> tuple[Checked, ...]:
    """What files answer on a GPU, against what they answer on the processor."""
    luggage = pack(replace(everything, files=tuple(file for file in everything.files if file.engine in GPU_ENGINES)))
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in luggage.contents.items():
            path = Path(scratch, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return check(luggage.plan, Path(scratch), progress)


def load(path: Path) -> BenchResult:
    """What a bundle measured that somebody ran elsewhere.

    Raises:
        ArtifactError: the file is missing, or holds something else.
    """
    try:
        return BenchResult(Results.from_json(path.read_text(encoding="utf-8")), (), ())
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} holds no results: python3 NAME.pyz writes them beside the archive") from error


def plan(artifacts: Sequence[Path], settings: BenchSettings, *, against: Path | None = None) -> Planned:
    """What ``bench`` measures, for this machine or for another one.

    Raises:
        ArtifactError: a file is missing, or none can be timed.
    """
    paths, left_out = _expand(artifacts)
    if against is not None:
        _refuse_without_engine(against)
        baselines = dict.fromkeys((path for path in paths if path != against), against)
    else:
        baselines = {path: twin for path in paths if (twin := _float_twin(path)) is not None}
    everything = dict.fromkeys([*paths, *baselines.values()])
    files = tuple(_file(path, baselines) for path in everything)
    if settings.gpu:
        files += tuple(other for file in files for other in _on_gpu(file))
    files += tuple(stages for artifact in artifacts for stages in _in_a_row(artifact))
    threads = () if settings.threads == "all" else settings.threads
    extras = tuple(str(path) for path in everything if path not in paths)
    return Planned(Plan(files, threads, settings.batches, settings.laps), extras, tuple(left_out))


def _file(path: Path, baselines: Mapping[Path, Path]) -> PlannedFile:
    file = planned_file(path)
    assert file is not None, "what no engine runs is refused"
    return replace(file, baseline=str(baselines[path]) if path in baselines else None)


def _on_gpu(file: PlannedFile) -> Iterator[PlannedFile]:
    """The same file in every way that there is to run it on a GPU, compared with the processor."""
    for engine, kernels in ON_GPU[file.engine]:
        yield replace(file, engine=engine, kernels=kernels, baseline=file.path)


def _in_a_row(folder: Path) -> Iterator[PlannedFile]:
    """The stages of a network in each runtime, one behind the other; nothing where ``folder`` holds none."""
    chain = folder / CHAIN
    if chain.exists():
        for engine in Chain.load(folder).engines:
            yield PlannedFile(str(chain), engine, precision=Precision.INT8)


def _expand(artifacts: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Folders replaced by the files in them, and those of these that cannot be timed."""
    runnable = {form.suffix for form in FORMATS.values() if engine_of(form.name) is not None}
    others = tuple(form.suffix for form in FORMATS.values() if form.suffix not in runnable)
    paths: list[Path] = []
    left_out: list[Path] = []
    for artifact in artifacts:
        if len(artifacts) > 1 and artifact.name.endswith((*others, SUFFIX, *RECORDS)):  # as in a shell's NAME.*
            left_out += [artifact] if artifact.suffix in others else []
            continue
        _refuse_without_engine(artifact)
        if artifact.is_dir():
            refuse_trained(artifact)
            entries = sorted(artifact.iterdir(), key=lambda entry: (entry.suffix, entry.name))
            paths += [entry for entry in entries if entry.suffix in runnable]
            left_out += [entry for entry in entries if entry.suffix in others]
        else:
            format_of(artifact)  # says what is wrong with a name that is no exported file's
            paths.append(artifact)
    if not paths:
        raise ArtifactError(f"there is no file to time in {', '.join(map(str, artifacts)) or 'nothing'}")
    return list(dict.fromkeys(paths)), left_out


def _refuse_without_engine(path: Path) -> None:
    for form in FORMATS.values():
        if path.suffix == form.suffix and engine_of(form.name) is None:
            raise ArtifactError(f"{path} needs {needed_elsewhere(form.name)}")


def _float_twin(path: Path) -> Path | None:
    """NAME.float32.tflite for NAME.int8.tflite, if it is there."""
    name = path.name.removesuffix(path.suffix)
    for precision in set(Precision) - {Precision.FLOAT32}:
        twin = path.with_name(f"{name.removesuffix(f'.{precision}')}.{Precision.FLOAT32}{path.suffix}")
        if name.endswith(f".{precision}") and twin.exists():
            return twin
    return None
