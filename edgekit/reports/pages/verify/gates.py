"""What files had to pass, and what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports import findings
from edgekit.reports.kit.markup import Markup, element, join, table
from edgekit.reports.kit.pieces import code, facts
from edgekit.reports.pages.verify.signs import mark, verdict
from edgekit.verification.gates import Level
from edgekit.words import NOTHING, count, percent, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.reports.findings import Failure
    from edgekit.verification.divergence import Divergence
    from edgekit.verification.gates import Gate


def failures(result: VerifyResult) -> Markup | None:
    """What is wrong, each said once."""
    found = findings.failures(result)
    return join(*(_failure(failure) for failure in found)) if found else None


def _failure(failure: Failure) -> Markup:
    """What is wrong, said once for all files that it is wrong with."""
    where = [
        join(code(name), f" in {'; '.join(runners)}" if runners else None) for name, runners in failure.where.items()
    ]
    return element(
        "article",
        element("h3", _gate_name(failure.gate)),
        element("p", failure.gate.problem),
        element("p", f"What to do: {failure.remedy}.") if failure.remedy else None,
        element("p", join(*where, between=", "), class_="where"),
    )


def taken_for_true(result: VerifyResult) -> Markup | None:
    """What was not shown."""
    if not result.warnings:
        return None
    items = (
        element("li", element("span", "!", class_="warned", role="img", aria_label="warning"), f" {text}")
        for text in result.warnings
    )
    return element("ul", *items)


def files(result: VerifyResult) -> Markup:
    """Each file in one row."""
    judged = findings.judged(result)
    levels = [level for level in Level if any(gate.level is level for file in judged for gate in file.gates)]
    names = findings.short_names(result)
    rows = [
        [
            join(_verdict(file), " ", code(names[file.path])),
            *(_passed([gate for gate in file.gates if gate.level is level]) for level in levels),
            findings.worst_parity(file) or NOTHING,
            size(file.summary.size_bytes) if file.summary else NOTHING,
        ]
        for file in findings.failed_first(result)
    ]
    columns = ["file", *(f"{level.value} {level.title}" for level in levels), ">logits", ">size"]
    return table(columns, rows, "Each file, and how many gates of each level it passed")


def gates(result: VerifyResult) -> Markup:
    """Every gate of every file."""
    names = findings.short_names(result)
    return join(*(_gates_of(file, names[file.path]) for file in findings.failed_first(result)))


def _gates_of(file: FileVerdict, name: str) -> Markup:
    rows = [
        [
            _gate_name(gate),
            gate.runner or NOTHING,
            join(mark(passed=gate.passed), " ", gate.measured, _problem(gate)),
            gate.limit or NOTHING,
        ]
        for gate in findings.by_urgency(file.gates)
    ]
    skipped = [element("li", f"not run: {reason}") for reason in file.skipped]
    return element(
        "details",
        element("summary", _verdict(file), " ", code(name), f" {findings.share(file.gates)} gates"),
        table(["gate", "runtime", "measured", "limit"], rows, f"Gates of {name}"),
        _divergence(file.divergence) if file.divergence else None,
        element("ul", *skipped) if skipped else None,
        open="" if file.failed else None,
    )


def _divergence(found: Divergence) -> Markup:
    """The first layer in which a file parts from what it has to be."""
    values = [
        f"{', '.join(map(str, example.index))}: {example.a:g} instead of {example.b:g}"
        + ("" if example.exact is None else f", exactly {example.exact:g}")
        for example in found.examples
    ]
    parts = f"{found.layer}, {found.operator}" if found.operator else found.layer
    by = f"{found.max_difference:.3g} {found.unit} at most, {percent(found.share)} of the values, {found.where}"
    return facts(
        [
            ("first layer that parts", parts),
            ("by", f"{by}; {len(found.channels)} of {count(found.channel_count, 'channel')}"),
            ("likely cause", f"{found.cause}: {found.explanation}"),
            *([("values", "; ".join(values))] if values else []),
            ("what to do", found.remedy),
        ]
    )


def _gate_name(gate: Gate) -> Markup:
    return join(element("span", f"{gate.level.value} {gate.level.title}", class_="level"), " ", gate.name)


def _problem(gate: Gate) -> Markup | None:
    return element("p", gate.problem, class_="problem") if gate.problem else None


def _verdict(file: FileVerdict) -> Markup:
    return verdict(findings.verdict(file))


def _passed(asked: Sequence[Gate]) -> Markup | str:
    """Whether all of them are passed, or how many."""
    if not asked:
        return NOTHING
    passed = all(gate.passed for gate in asked)
    return element("span", mark(passed=passed), f" {findings.share(asked)}", class_="share")
