"""What a result says, in the words that all reports share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.facts import Basis
from edgekit.integer_model import SUFFIX
from edgekit.reports import origin
from edgekit.tasks.values import TARGETS, measured_as
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.gates import Level
from edgekit.words import NOTHING, count, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgekit.exporters.metadata import Metadata
    from edgekit.facts import Fact
    from edgekit.pipeline.making.export import ExportedFile
    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.tasks.values import Measured, Metric
    from edgekit.verification.compare import Parity
    from edgekit.verification.gates import Gate

FAILED: Final = "failed"
PASSED: Final = "passed"
WARNED: Final = "passed with warnings"  # something is taken for true
REFERENCE: Final = "reference"
NOT_COMPARED: Final = "not compared"
_OF_TWO: Final = frozenset(("drop", "agreement", "sqnr_db"))  # metrics that compare two networks
DROP: Final = "drop"  # the name of what every task has: by how much its first metric is worse


def verdict(file: FileVerdict) -> str:
    """What became of a file: one of the five words above."""
    if file.failed:
        return FAILED
    if file.passed:
        return PASSED if file.is_proven else WARNED
    return REFERENCE if file.is_reference else NOT_COMPARED


def remark(file: FileVerdict) -> str:
    """Why a file neither passed nor failed; empty of all others."""
    compared = "what integers are compared with" if file.path.suffix == SUFFIX else "what floats are compared with"
    return {REFERENCE: compared, NOT_COMPARED: "nothing to compare with"}.get(verdict(file), "")


def only_near(files: Iterable[FileVerdict | ExportedFile]) -> tuple[str, ...]:
    """Of which outputs identity is not claimed, and why; each reason once, with the runners where it is not of all."""
    integers = [one for file in files for one in file.parities if not isinstance(one, DetectionParity)]
    found: dict[tuple[str, str], set[str]] = {}
    for one in integers:
        if one.near:
            found.setdefault((one.values_of(), one.near), set()).add(one.runner)
    said = []
    for (values, why), runners in found.items():
        everywhere = {one.runner for one in integers if one.values_of() == values}
        said.append(is_near(values, why, sorted(runners) if runners < everywhere else ()))
    return tuple(said)


def is_near(values: str, why: str, runners: Sequence[str] = ()) -> str:
    """That identity is not claimed of some values, in some runners or in all.

    >>> is_near("logits", "dw has activations of 16 bits")
    'logits are near, and need not be identical: dw has activations of 16 bits'
    >>> is_near("logits", "float32 sums can drift", ["ONNX Runtime 1.31.1, DISABLE_ALL"])
    'logits are near, and need not be identical, in ONNX Runtime 1.31.1, DISABLE_ALL: float32 sums can drift'
    """
    where = f", in {'; '.join(runners)}" if runners else ""
    return f"{values} are near, and need not be identical{where}: {why}"


def outcome(result: VerifyResult) -> str:
    """What became of all of them: failed, passed, or passed without a tick."""
    if not result.passed:
        return FAILED
    return PASSED if result.is_proven else WARNED


def sign(said: str) -> str:
    """The sign of a verdict that needs no colour; a tick stands only beside what was shown."""
    return {PASSED: "✔", WARNED: "!", FAILED: "✘"}.get(said, NOTHING)


def judged(result: VerifyResult) -> list[FileVerdict]:
    """Everything that there is a verdict on: what files were held against, and the files."""
    return [*result.references, *result.files]


def mark(*, passed: bool) -> str:
    """A sign that needs no colour."""
    return "✔" if passed else "✘"


def conclusion(result: VerifyResult) -> str:
    """The result in one line."""
    total, gates = len(result.files), [gate for file in judged(result) for gate in file.gates]
    failed, passed = sum(file.failed for file in result.files), sum(file.passed for file in result.files)
    closed = sum(not gate.passed for gate in gates)
    wrong = [reference.path.name for reference in result.references if reference.failed]
    if failed or wrong:
        what = [f"{failed} of {count(total, 'file')}"] if failed or not wrong else []
        return f"{', and '.join([*wrong, *what])} failed, {closed} of {count(len(gates), 'gate')}"
    if not passed:
        return "nothing was compared: name the trained network, --checkpoint FILE"
    others = f", {count(total - passed, 'other')} not compared" if total > passed else ""
    warned = f"; {count(len(result.warnings), 'warning')}" if result.warnings else ""
    near = sum(file.is_near for file in result.files)
    only_near = f", {near:,} of them near and no more" if near else ""
    return f"{count(passed, 'file')} passed{only_near}{others}, {count(len(gates), 'gate')}{warned}"


def images(result: VerifyResult) -> str:
    """On what files were run."""
    if not result.images:
        return "nothing was run"
    return f"{count(result.images, 'image')}{' of noise, because none were named' if result.noise else ''}"


def names(result: VerifyResult) -> dict[Path, str]:
    """What files are called: their names, or their paths where two of them share a name."""
    paths = list(dict.fromkeys(file.path for file in judged(result)))
    shared = Counter(path.name for path in paths)
    return {path: path.name if shared[path.name] == 1 else str(path) for path in paths}


def short_names(result: VerifyResult) -> dict[Path, str]:
    """The same without the network's name, where all begin with it: for tables below a title that says it."""
    called, prefix = names(result), f"{result.network}."
    common = result.network and all(called[file.path].startswith(prefix) for file in result.files)
    return {path: name.removeprefix(prefix) for path, name in called.items()} if common else called


def latency_ms(result: VerifyResult, path: Path) -> float | None:
    """The median time of one run of a file; None where it was not timed."""
    return next((row.p50_ms.value for row in result.latencies if Path(row.path) == path), None)


def failed_first(result: VerifyResult) -> list[FileVerdict]:
    """The files and what they were held against, those that failed before the others."""
    return sorted(judged(result), key=lambda file: not file.failed)


def by_urgency(gates: Iterable[Gate]) -> list[Gate]:
    """Those that failed before the others, both by level."""
    return sorted(gates, key=lambda gate: (gate.passed, gate.level))


def share(gates: Sequence[Gate]) -> str:
    """How many gates are passed: "7", or "6 of 7"."""
    passed = sum(gate.passed for gate in gates)
    return str(passed) if passed == len(gates) else f"{passed} of {len(gates)}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong, once for all files and runners that it is wrong with in the same words.

    Attributes:
        gate: the first that failed so.
        where: each file, with the runners that it fails in; empty where it was not run to find out.
        remedy: what to do, where the layer is known in which it parts.
    """

    gate: Gate
    where: dict[str, list[str]]
    remedy: str


def failures(result: VerifyResult) -> list[Failure]:
    """All that is wrong, by level."""
    called, found = names(result), dict[tuple[Level, str, str], Failure]()
    for file in judged(result):
        for gate in file.gates:
            if not gate.passed:
                parts = file.divergence if file.divergence and file.divergence.sentence in gate.problem else None
                failure = Failure(gate, {}, parts.remedy if parts else "")
                failure = found.setdefault((gate.level, gate.name, gate.problem), failure)
                failure.where.setdefault(called[file.path], []).extend([gate.runner] if gate.runner else [])
    return sorted(found.values(), key=lambda failure: failure.gate.level)


def unclaimed(file: FileVerdict) -> list[tuple[Parity, str]]:
    """What was measured where nothing is claimed, and why not."""
    return [(found, file.unclaimed[found.runner]) for found in file.parities if found.runner in file.unclaimed]


def worst_parity(file: FileVerdict) -> str:
    """How near the logits are where they are farthest, of the runners that are judged, and in which that is.

    Where nothing is claimed of the runner that is the default on this machine, it follows. Empty where there is none.
    """
    judged = [found for found in file.parities if found.runner not in file.unclaimed]
    if not judged:
        return ""
    worst = max(judged, key=lambda found: found.farness())
    others = f" and {count(len(judged) - 1, 'other runtime')}" if len(judged) > 1 else ""
    default = [found for found, _ in unclaimed(file) if found.runner == file.measured_in]
    said = [f"{found.said()} in {found.ran()}, the default on this machine" for found in default]
    return "; ".join([f"{worst.said()} in {worst.ran()}{others}", *said])


def metric(result: VerifyResult, name: str) -> Metric:
    """One of the result's metrics; for "first" the task's own that was measured first, or would be."""
    if name != "first":
        return next(one for one in result.metrics if one.name == name)
    every = (result.float_measured, *(file.measured for file in result.files))
    measured = {one.metric.name for found in every for one in found} - _OF_TWO
    return next((one for one in result.metrics if one.name in measured), result.metrics[0])


def value(wanted: Metric, found: Iterable[Measured]) -> str:
    """What was measured of a metric; of a change, with its interval, and without its unit."""
    one = measured_as(wanted.name, found)
    if one is None:
        return NOTHING
    return change(one) if wanted.name == DROP else wanted.text(one.value)


def clear_drop(file: FileVerdict) -> str:
    """By how much a file is worse than float, where that is no accident: the 95 % interval has no 0 in it; else empty.

    A drop is of the first metric, and above 0 it is for the worse.
    """
    drop = measured_as(DROP, file.measured)
    if drop is None or drop.low is None or drop.low <= 0:
        return ""
    return f"{drop.metric.title} {change(drop)}, measured in {file.measured_in}"


def change(found: Measured) -> str:
    """By how much something changed, with its 95 % interval, without a unit.

    >>> from edgekit.tasks.values import Better, Measured, Metric
    >>> change(Measured(Metric("drop", "drop of top-1", "points", Better.LOWER), 0.31, -0.92, 1.54))
    '0.31 (−0.92 to 1.54)'
    """
    if found.low is None or found.high is None:
        return signed(found.metric, found.value)
    low, high = (signed(found.metric, end) for end in (found.low, found.high))
    return f"{signed(found.metric, found.value)} ({low} to {high})"


def signed(of: Metric, value: float) -> str:
    """A value of a metric with a true minus; nothing is −0.00.

    >>> from edgekit.tasks.values import Better, Metric
    >>> drop = Metric("drop", "drop of top-1", "points", Better.LOWER)
    >>> signed(drop, -1.5), signed(drop, -0.001)
    ('−1.50', '0.00')
    """
    number = of.number(value)
    return (number.removeprefix("-") if float(number) == 0 else number).replace("-", "−")


def found_labels(result: VerifyResult) -> list[Fact]:
    """How labels are read, where the network's answers decided it: perhaps otherwise than they were given."""
    return [fact for fact in result.facts if fact.name == TARGETS and fact.basis is Basis.FOUND]


def facts(result: VerifyResult) -> list[tuple[str, str]]:
    """What was compared, and where it comes from: names and what they are."""
    known = [("images", images(result))]
    if result.skipped:
        known.append(("images left out", f"{len(result.skipped)}: {some(result.skipped)}"))
    for title, path in (("integers against", result.integer_reference), ("floats against", result.float_reference)):
        if path is not None:
            known.append((title, path.name))
    metadata = about(result)
    if metadata is None:
        return known
    known += [("input", origin.image(metadata.preprocessing)), *origin.provenance(metadata.provenance)]
    return [*known, *(origin.fact(fact) for fact in result.facts)]


def about(result: VerifyResult) -> Metadata | None:
    """What a file says of the network: an int8 file where there is one, for it also says how it was calibrated."""
    found = [file.summary.metadata for file in result.files if file.summary and file.summary.metadata]
    return next((metadata for metadata in found if "calibration" in metadata.provenance), next(iter(found), None))


def runners(result: VerifyResult) -> list[str]:
    """Every runtime that ran a file, with its version and kernels."""
    return sorted({found.runner for file in result.files for found in file.parities})
