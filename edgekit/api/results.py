"""What the functions give: the values that the commands print, which show themselves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api.shown import Page, Shown
from edgekit.api.words import in_python
from edgekit.errors import ArtifactError, ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.facts import assumed
from edgekit.pipeline.choosing.analyze import AnalyzeResult
from edgekit.pipeline.choosing.sweep import SweepResult
from edgekit.pipeline.diagnosing.diagnosis import DiagnoseResult
from edgekit.pipeline.making.export import ExportedFile, ExportResult
from edgekit.pipeline.making.manifest import Manifest
from edgekit.pipeline.making.prune import Pruned as PruneResult
from edgekit.pipeline.making.train import TrainResult
from edgekit.pipeline.making.trained import FROM_FILE, Network
from edgekit.pipeline.measuring.bench import BenchResult
from edgekit.pipeline.proving.evidence import CHECKPOINT_HASH
from edgekit.pipeline.proving.verdicts import VerifyResult
from edgekit.reports import exported, findings, writing
from edgekit.words import NOTHING, count, plain, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from edgekit.pipeline.choosing.analyze import Analysis
    from edgekit.pipeline.choosing.store import Row
    from edgekit.pipeline.proving.verdicts import FileVerdict
    from edgekit.tasks.values import Metric
    from edgekit.training.loop import Epoch


def fields_of(result: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """A result's fields by name, for the value that shows itself; what is said in them is in the words of Python."""
    fields = {each.name: getattr(result, each.name) for each in dataclasses.fields(result)}
    if "facts" in fields:
        fields["facts"] = tuple(
            dataclasses.replace(fact, because=in_python(fact.because), setting=in_python(fact.setting))
            for fact in fields["facts"]
        )
        fields["notes"] = tuple(map(in_python, fields["notes"]))
    return fields


@dataclass(frozen=True, slots=True, repr=False)
class Exported(Shown, ExportResult):
    """What an export made.

    ``result["tflite"]`` or ``result["int8.tflite"]`` is the path of a file.

    Attributes:
        origin: where its trained network comes from, so that ``edgekit.verify`` knows it.
    """

    origin: Network = field(default=FROM_FILE, compare=False)

    def __getitem__(self, name: str) -> Path:
        """The path of a file, by its target, its precision, or both: "tflite", "int8", "int8.tflite".

        Raises:
            KeyError: there is none, or several.
            edgekit.errors.ConfigError: another export has replaced it.
        """
        self.check()
        found = [file.path for file in self.files if name in self._names(file)]
        if len(found) == 1:
            return found[0]
        known = [f"{file.precision}.{file.target}" for file in self.files]
        if found:
            raise KeyError(f"{name!r} are {len(found)} files: {', '.join(known)}")
        raise KeyError(f"there is no file {name!r}: {', '.join(known)}")

    def check(self) -> None:
        """Refuse files that are not this export's any more.

        Raises:
            edgekit.errors.ConfigError: another network's export has replaced them.
        """
        try:
            now = Manifest.load(self.manifest).inputs.checkpoint_sha256
        except ArtifactError:  # what is missing is said by who reads it
            return
        own = {file.summary.metadata.provenance.get(CHECKPOINT_HASH) for file in self.files if file.summary.metadata}
        own.discard(None)
        if own and now not in own:
            raise ConfigError(
                f"{self.folder} holds another {self.network} by now, exported after this one: export this one again, "
                f"with a name or an out of its own"
            )

    @staticmethod
    def _names(file: ExportedFile) -> tuple[str, ...]:
        suffix = FORMATS[file.target].suffix
        return (file.target, str(file.precision), f"{file.precision}.{file.target}", f"{file.precision}{suffix}")

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.manifest.parent

    def page(self) -> Page:
        """What is shown."""
        kind = "synthetic image" if self.data_free else "image"
        calibrated = f", calibrated on {count(self.images, kind)}" if self.images else ""
        rows = [("", "file", ">size", ">max |Δ|", "measured in"), *map(self._row, self.files)]
        taken = [
            f"! {fact.name} {plain(fact.value)} is {fact.basis}: {fact.because}; to set it: {fact.setting}"
            for fact in assumed(self.facts)
        ]
        doubts = [f"! {text}" for text in exported.doubts(self)]
        said = (*exported.meaning(self), *findings.only_near(self.files))
        return Page(
            f"{self.network} ({self.description}){calibrated} → {self.folder}, {self.seconds:.0f} s",
            tuple(rows),
            tuple(map(in_python, (*said, *doubts, *exported.unproven(self), *taken, *self.notes))),
        )

    def _row(self, file: ExportedFile) -> tuple[str, ...]:
        difference = NOTHING if file.parity is None else file.parity.distance()
        mark = "✔" if file.proven else "!" if file.parity is not None else NOTHING
        runner = file.parity.runner if file.parity is not None else file.unproven
        return mark, file.path.name, size(file.size_bytes), difference, runner


@dataclass(frozen=True, slots=True, repr=False)
class Verified(Shown, VerifyResult):
    """What verification found."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was not shown and is taken for true, and what was not measured."""
        return tuple(map(in_python, VerifyResult.warnings.fget(self)))  # type: ignore[attr-defined] # a property

    def report(self, path: str | PathLike[str]) -> None:
        """Write a report: .html, .md, .xml (JUnit) or .json.

        Raises:
            edgekit.errors.ConfigError: the suffix is none of these.
        """
        writing.write(self, Path(path))

    def page(self) -> Page:
        """What is shown."""
        names = findings.short_names(self)
        columns = [findings.metric(self, name) for name in ("first", "drop", "agreement")] if self.metrics else []
        titles = (f">{column.title}" for column in columns)
        rows: list[tuple[str, ...]] = [("", "file", *titles, "worst of its runtimes")]
        judged = [*(reference for reference in self.references if reference.failed), *self.files]
        rows += [self._row(file, names[file.path], columns) for file in judged]
        failed = [
            f"✘ {names[file.path]}: {in_python(gate.problem)}"
            for file in findings.judged(self)
            for gate in file.gates
            if not gate.passed
        ]
        found = [
            *(f"! {names[file.path]}: {text}" for file in self.files if (text := findings.clear_drop(file))),
            *(f"! labels: {fact.because}" for fact in findings.found_labels(self)),
        ]
        title = f"{findings.sign(findings.outcome(self))} {self.network}: {findings.conclusion(self)}"
        return Page(
            f"{title}, on {findings.images(self)}" if self.images else title,
            tuple(rows),
            (*failed, *found, *(f"! {text}" for text in self.warnings)),
        )

    @staticmethod
    def _row(file: FileVerdict, name: str, columns: Sequence[Metric]) -> tuple[str, ...]:
        values = (findings.value(column, file.measured) for column in columns)
        claimed = (parity for parity in file.parities if parity.runner not in file.unclaimed)
        farthest = max(claimed, key=lambda parity: parity.farness(), default=None)
        worst = "" if farthest is None else farthest.distance()
        return findings.sign(findings.verdict(file)), name, *values, worst


@dataclass(frozen=True, slots=True, repr=False)
class Benched(Shown, BenchResult):
    """What was measured."""

    def page(self) -> Page:
        """What is shown."""
        found = self.results
        rows = [("file", ">threads", ">batch", ">p50 ms", ">interval", ">p90 ms", ">MiB", ">of float", "runtime")]
        for row in found.rows:
            ratio = NOTHING if row.ratio is None else f"{row.ratio.value.value:.2f}"
            rows.append(
                (
                    Path(row.path).name,
                    str(row.threads),
                    str(row.batch),
                    f"{row.p50_ms.value:.3g}",
                    f"{row.p50_ms.low:.3g} to {row.p50_ms.high:.3g}",
                    f"{row.p90_ms:.3g}",
                    NOTHING if row.peak_mib is None else f"{row.peak_mib:.0f}",
                    ratio,
                    row.runner,
                )
            )
        slow = [f"! {Path(row.path).name}: {row.slow_because}" for row in found.rows if row.slow_because]
        dirty = [f"! {reason}" for reason in found.dirty]
        where = self.device or found.machine.processor
        return Page(f"{where}, {count(found.laps, 'lap')}", tuple(rows), (*slow, *dirty))


@dataclass(frozen=True, slots=True, repr=False)
class Swept(Shown, SweepResult):
    """What a sweep found."""

    def page(self) -> Page:
        """What is shown."""
        title = ("", "network", "precision", "target", "device", ">accuracy", ">size", ">ms")
        wrong = tuple(f"✘ {in_python(row.error)}" for row in self.failed)
        return Page(f"{self.folder}: {count(len(self.rows), 'cell')}", (title, *map(self._row, self.rows)), wrong)

    def _row(self, row: Row) -> tuple[str, ...]:
        return (
            "✔" if row in self.front else "✘" if row.error else "",
            *(str(value or NOTHING) for value in (row.network, row.precision, row.target, row.device)),
            NOTHING if row.accuracy is None else f"{row.accuracy:.4g}",
            NOTHING if row.size_bytes is None else size(row.size_bytes),
            NOTHING if row.latency_ms is None else f"{row.latency_ms:.3g}",
        )


@dataclass(frozen=True, slots=True, repr=False)
class Analyzed(Shown, AnalyzeResult):
    """What networks cost."""

    def page(self) -> Page:
        """What is shown."""
        title = ("network", ">Mparams", ">MMAC", ">activations", ">int8", ">float32")
        return Page(count(len(self.networks), "network"), (title, *map(self._row, self.networks)), ())

    @staticmethod
    def _row(one: Analysis) -> tuple[str, ...]:
        sizes = (one.peak_int8_bytes, one.size_bytes["int8"], one.size_bytes["float32"])
        return (one.network, f"{one.parameters / 1e6:.2f}", f"{one.macs / 1e6:.1f}", *map(size, sizes))


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosed(Shown, DiagnoseResult):
    """What a diagnosis found."""

    def page(self) -> Page:
        """What is shown."""
        rows = [("", "trouble", "what it is")]
        rows += [("✘", str(one.trouble), in_python(one.sentence)) for one in self.findings]
        remedies = tuple(f"{one.trouble}: {one.evidence}; {one.remedy}" for one in self.findings)
        healthy = "" if self.findings else ": no trouble was found"
        return Page(f"{self.network}, {self.data}{healthy}", tuple(rows) if self.findings else (), remedies)


def paths_of(files: Any) -> list[Path]:  # noqa: ANN401 - what a user names
    """The files that a user means.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(files, Exported):
        files.check()
        return [file.path for file in files.files]
    if isinstance(files, str | Path) or hasattr(files, "__fspath__"):
        return [Path(files)]
    if isinstance(files, list | tuple | set):
        return [Path(file) for file in files]
    kind = type(files).__name__
    raise ConfigError(f"files are {kind}: give what edgekit.export gave, a path, or a list of paths")


@dataclass(frozen=True, slots=True, repr=False)
class Trained(Shown, TrainResult):
    """What came of a training."""

    def page(self) -> Page:
        """What is shown."""
        best = self.best
        rows = [
            (">epoch", ">loss", *(f">{one.metric.title}" for one in best.measured)),
            *((str(epoch.number), f"{epoch.loss:.3f}", *(one.text() for one in epoch.measured)) for epoch in self._few),
        ]
        said = (*self.opened.problems, *self.opened.notes)
        title = f"{self.opened.network} → {self.checkpoint}, epoch {best.number}: {best.measured[0].text()}"
        return Page(title, tuple(rows), tuple(map(in_python, said)))

    @property
    def _few(self) -> tuple[Epoch, ...]:
        """The first, the best and the last epoch."""
        return tuple({epoch.number: epoch for epoch in (self.epochs[0], self.best, self.epochs[-1])}.values())


@dataclass(frozen=True, slots=True, repr=False)
class Pruned(Shown, PruneResult):
    """What was written of a network without some of its channels."""

    def page(self) -> Page:
        """What is shown."""
        before, after = self.before, self.after
        rows = [("", ">before", ">after", ">left")]
        for what, was, now in (
            ("multiplications (MACs)", before.macs, after.macs),
            ("weights", before.parameters, after.parameters),
        ):
            rows.append((what, f"{was:,}", f"{now:,}", f"{now / was:.1%}"))
        return Page(f"{self.network}, pruned → {self.checkpoint}", tuple(rows), tuple(map(in_python, self.notes)))
