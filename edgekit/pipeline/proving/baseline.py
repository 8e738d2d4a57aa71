"""The baseline: files that are kept on purpose, so that later ones can be compared with them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.device.workers import peak_memory
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.pipeline.making.artifacts import expand
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.progress import Progress, silent
from edgekit.runtimes.planned import planned_file
from edgekit.timing.comparison import compare_latency
from edgekit.verification import budgets
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.verification.budgets import Limits
    from edgekit.verification.gates import Gate

FILE_NAME = "baseline.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class KeptFile:
    """What a file of the baseline costs.

    Attributes:
        sha256: of its content, hexadecimal; of a package as ``manifest.sha256_of`` has it.
        size_bytes: of the file, or of everything in the package.
        int8_share: share of its operators that compute in integers, 0..1.
        memory_mib: that loading and running it added to a fresh process, on the machine that kept it; None where there
            is no runtime for it, or the system does not tell.
        runner: runtime, version and kernels that memory was measured in.
        accuracy: figures by name, where verification knew some.
    """

    sha256: str
    size_bytes: int
    int8_share: float
    memory_mib: float | None
    runner: str | None
    accuracy: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A folder of files that were kept.

    Attributes:
        folder: where they are.
        files: what each costs, by name.
    """

    folder: Path
    files: Mapping[str, KeptFile]

    @staticmethod
    def load(folder: Path) -> Baseline:
        """Read what is said about a baseline.

        Raises:
            ArtifactError: the folder holds no baseline, a damaged one, or one of another schema version.
        """
        path = folder / FILE_NAME
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if (version := values["schema_version"]) == SCHEMA_VERSION:
                return Baseline(folder, {name: KeptFile(**kept) for name, kept in values["files"].items()})
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{folder} holds no baseline: edgekit baseline FOLDER --out {folder} keeps one"
            ) from error
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path} is damaged: remove {folder}, and keep the baseline again") from error
        raise ArtifactError(
            f"{path} has schema version {version}, this edgekit reads {SCHEMA_VERSION}: remove {folder}, and keep the "
            f"baseline again"
        )

    def path(self, name: str) -> Path:
        """Where a file is that was kept.

        Raises:
            ArtifactError: it is not what was kept.
        """
        path = self.folder / name
        if not path.exists() or sha256_of(path) != self.files[name].sha256:
            raise ArtifactError(f"{path} is not the file that was kept: restore it, or keep the baseline again")
        return path


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """What was kept, and what was kept before.

    Attributes:
        folder: where it is.
        files: what each file costs, by name.
        before: likewise of the baseline that this one replaced; empty without one.
    """

    folder: Path
    files: Mapping[str, KeptFile]
    before: Mapping[str, KeptFile]


def keep(
    artifacts: Sequence[Path],
    out: Path,
    *,
    accuracy: Mapping[str, Mapping[str, float]] | None = None,
    progress: Progress = silent,
) -> BaselineResult:
    """Keep copies of exported files, and what they cost, in place of what was kept before.

    Args:
        artifacts: files, or folders of files.
        out: folder of the baseline. There must be nothing else in it.
        accuracy: figures by name, of files by name.
        progress: told about every file.

    Raises:
        BadInput: a file cannot be used, or the folder not be written.
        MissingDependency: a file's runtime is not installed.
    """
    paths, _ = expand(artifacts)
    named: dict[str, Path] = {}
    for path in paths:
        if (other := named.setdefault(path.name, path)) != path:
            raise ArtifactError(f"{other} and {path} have the same name: keep one of them")
    before = _kept_before(out)
    kept: dict[str, KeptFile] = {}
    for done, (name, path) in enumerate(named.items()):
        progress("measuring", done, len(named))
        kept[name] = _cost(path, (accuracy or {}).get(name, {}))
    progress("measuring", len(named), len(named))
    with files.replacing(out.resolve()) as folder:  # a link to a folder stays one
        folder.mkdir()
        for name, path in named.items():
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, folder / name)
        values = {
            "schema_version": SCHEMA_VERSION,
            "edgekit": __version__,
            "files": {name: dataclasses.asdict(file) for name, file in kept.items()},
        }
        (folder / FILE_NAME).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return BaselineResult(out, kept, before)


def check(path: Path, baseline: Baseline, limits: Limits, *, progress: Progress = silent) -> tuple[Gate, ...]:
    """What a file costs against what was kept under its name.

    Memory and latency are measured of both, here and now, unless they are the same bytes.

    Raises:
        BadInput: a file cannot be used.
        MissingDependency: its runtime is not installed.
    """
    kept = baseline.files.get(path.name)
    if kept is None:
        return (budgets.unknown(str(baseline.folder)),)
    if sha256_of(path) == kept.sha256:
        return budgets.unchanged()
    old, summary = baseline.path(path.name), format_of(path).read(path)
    found = [
        budgets.size(files.size_bytes(path), kept.size_bytes, limits.max_size_ratio),
        budgets.int8_share(summary.int8_share, kept.int8_share),
    ]
    candidate, before = planned_file(path), planned_file(old)
    if candidate is not None and before is not None:
        (runner, new_mib), (_, old_mib) = (peak_memory(file, Path()) for file in (candidate, before))
        if new_mib is not None and old_mib is not None:
            found.append(budgets.memory(new_mib, old_mib, limits.max_memory_ratio, runner))
        ratio = compare_latency(candidate, before, limit=limits.max_latency_ratio, progress=progress)
        estimate = ratio.estimate
        found.append(
            budgets.latency(
                estimate.ratio,
                (estimate.low, estimate.high),
                (ratio.candidate_ms, ratio.baseline_ms),
                limits.max_latency_ratio,
                ratio.runner,
            )
        )
    return tuple(found)


def _cost(path: Path, accuracy: Mapping[str, float]) -> KeptFile:
    summary = format_of(path).read(path)
    planned = planned_file(path)
    runner, memory_mib = (None, None) if planned is None else peak_memory(planned, Path())
    return KeptFile(
        sha256=sha256_of(path),
        size_bytes=files.size_bytes(path),
        int8_share=summary.int8_share,
        memory_mib=memory_mib,
        runner=runner,
        accuracy=dict(accuracy),
    )


def _kept_before(out: Path) -> Mapping[str, KeptFile]:
    """The baseline that will be replaced.

    Raises:
        ArtifactError: the folder holds something else, which would be lost.
    """
    before = Baseline.load(out).files if (out / FILE_NAME).exists() else {}
    entries = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    others = [name for name in entries if name not in {FILE_NAME, *before}]
    if others:
        raise ArtifactError(f"{out / others[0]} is no part of the baseline: move it away, or choose another --out")
    return before
